// The npm package openai against a running Rephlo, which e2e starts.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const { REPHLO_COMPAT_API: api, REPHLO_COMPAT_KEY: key, REPHLO_COMPAT_POOR_KEY: poor } = process.env;
const skip = api ? false : "run through the end-to-end tests: make e2e";
const client = (apiKey = key) => new OpenAI({ baseURL: `${api}/v1`, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "say this back to me" }];

test("a whole answer", { skip }, async () => {
  const { data, response, request_id } = await client().chat.completions.create({ model: "test-echo", messages }).withResponse();
  assert.match(data.choices[0].message.content, /say this back to me/);
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.match(request_id, /^req_/);
  assert.ok(Number(response.headers.get("x-rephlo-credits-charged")) > 0);
});

test("embeddings, which the SDK asks for in base64", { skip }, async () => {
  const { data, usage } = await client().embeddings.create({ model: "test-echo", input: ["one", "two"], dimensions: 8 });
  assert.deepEqual(data.map((e) => [e.index, e.embedding.length]), [[0, 8], [1, 8]]);
  assert.ok(data.every((e) => Math.abs(Math.hypot(...e.embedding) - 1) < 1e-5) && usage.prompt_tokens > 0);
});

test("a streamed answer", { skip }, async () => {
  const stream = await client().chat.completions.create({
    model: "test-echo", messages, stream: true, stream_options: { include_usage: true },
  });
  const ids = new Set();
  let text = "", usage;
  for await (const chunk of stream) {
    ids.add(chunk.id);
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.match(text, /say this back to me/);
  assert.equal(ids.size, 1);
  assert.ok(usage.completion_tokens > 0);
});

test("the stream helper adds the chunks up", { skip }, async () => {
  const runner = client().chat.completions.stream({ model: "test-echo", messages });
  const whole = await runner.finalChatCompletion();
  assert.match(whole.choices[0].message.content, /say this back to me/);
});

test("a client that stops is not an error of the server", { skip }, async () => {
  const stream = await client().chat.completions.create({ model: "slow", messages, stream: true });
  let chunks = 0;
  for await (const _ of stream) {
    if (++chunks === 3) stream.controller.abort();
  }
  assert.ok(chunks >= 3);
});

test("a stream that breaks throws", { skip }, async () => {
  const stream = await client().chat.completions.create({ model: "cut", messages, stream: true });
  let chunks = 0;
  await assert.rejects(async () => {
    for await (const _ of stream) chunks++;
  }, OpenAI.APIError);
  assert.ok(chunks > 0);
});

test("the list of models", { skip }, async () => {
  const ids = [];
  for await (const model of client().models.list()) ids.push(model.id);
  assert.ok(ids.includes("test-echo"));
  assert.equal((await client().models.retrieve("test-echo")).object, "model");
});

const refusals = [
  ["a bad key", "rph_live_wrong", "test-echo", OpenAI.AuthenticationError, 401, "api_key_invalid", "authentication_error"],
  ["no credits", poor, "unit", OpenAI.APIError, 402, "insufficient_credits", "insufficient_quota"],
  ["no such model", key, "gpt-none", OpenAI.NotFoundError, 404, "model_not_found", "invalid_request_error"],
  ["a busy vendor", key, "busy", OpenAI.RateLimitError, 429, "upstream_rate_limited", "rate_limit_error"],
  ["a broken vendor", key, "down", OpenAI.InternalServerError, 502, "upstream_error", "server_error"],
];
for (const [name, apiKey, model, type, status, code, kind] of refusals) {
  test(`error: ${name}`, { skip }, async () => {
    await assert.rejects(client(apiKey).chat.completions.create({ model, messages, max_tokens: 5 }), (err) => {
      assert.ok(err instanceof type, `${err.constructor.name}: ${err.message}`);
      assert.deepEqual([err.status, err.code, err.type], [status, code, kind]);
      assert.ok(err.requestID);
      return true;
    });
  });
}

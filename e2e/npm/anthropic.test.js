// The npm package @anthropic-ai/sdk against a running Rephlo, which e2e starts.
// The models behind it speak OpenAI's protocol, so every answer is translated.
import assert from "node:assert/strict";
import test from "node:test";
import Anthropic from "@anthropic-ai/sdk";

const { REPHLO_COMPAT_API: api, REPHLO_COMPAT_KEY: key, REPHLO_COMPAT_POOR_KEY: poor } = process.env;
const skip = api ? false : "run through the end-to-end tests: make e2e";
const client = (apiKey = key, maxRetries = 0) => new Anthropic({ baseURL: api, apiKey, maxRetries });
const ask = (content, more = {}) => ({ model: "test-echo", max_tokens: 200, messages: [{ role: "user", content }], ...more });
const tools = [{ name: "look", description: "Looks", input_schema: { type: "object", properties: { x: { type: "integer" } } } }];

test("a whole answer", { skip }, async () => {
  const { data, response, request_id } = await client().messages.create(ask("say this back to me")).withResponse();
  assert.match(data.id, /^msg_/);
  assert.match(data.content[0].text, /say this back to me/);
  assert.equal(data.stop_reason, "end_turn");
  assert.ok(data.usage.input_tokens > 0 && data.usage.output_tokens > 0);
  assert.match(request_id, /^req_/);
  assert.ok(Number(response.headers.get("x-rephlo-credits-charged")) > 0);
});

test("a streamed answer adds up to the whole one", { skip }, async () => {
  let text = "";
  const stream = client().messages.stream(ask("say this back to me")).on("text", (t) => (text += t));
  const whole = await stream.finalMessage();
  assert.match(text, /say this back to me/);
  assert.equal(whole.content[0].text, text);
  assert.equal(whole.stop_reason, "end_turn");
  assert.ok(whole.usage.output_tokens > 0);
});

test("parallel tools and their results", { skip }, async () => {
  const question = { role: "user", content: '#test tool=look:{"x":1} tool=look:{"x":2}' };
  const answer = await client().messages.stream({ ...ask(""), messages: [question], tools }).finalMessage();
  assert.equal(answer.stop_reason, "tool_use");
  assert.deepEqual(answer.content.map((b) => b.input), [{ x: 1 }, { x: 2 }]);
  const results = answer.content.map((b) => ({ type: "tool_result", tool_use_id: b.id, content: "seen" }));
  const next = await client().messages.create({
    ...ask(""), tools, messages: [question, { role: "assistant", content: answer.content }, { role: "user", content: [...results, { type: "text", text: "thank you" }] }],
  });
  assert.match(next.content[0].text, /thank you/);
});

test("an image is taken", { skip }, async () => {
  const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const answer = await client().messages.create(ask([
    { type: "image", source: { type: "base64", media_type: "image/png", data: png } }, { type: "text", text: "what is this" },
  ]));
  assert.match(answer.content[0].text, /what is this/);
});

test("thoughts come before the answer", { skip }, async () => {
  const answer = await client().messages.stream(ask("#test reasoning=5 tokens=3")).finalMessage();
  assert.deepEqual(answer.content.map((b) => b.type), ["thinking", "text"]);
});

test("the models, page by page and one alone", { skip }, async () => {
  const ids = [];
  for await (const m of client().models.list({ limit: 2 })) ids.push(m.id);
  assert.ok(ids.length > 2 && new Set(ids).size === ids.length && ids.includes("test-echo"), ids.join());
  const one = await client().models.retrieve("test-echo");
  assert.equal(one.type, "model");
  assert.equal(one.id, "test-echo");
  assert.ok(!Number.isNaN(Date.parse(one.created_at)));
  await assert.rejects(client().models.retrieve("no-such-model"), (e) => e instanceof Anthropic.NotFoundError && e.error.error.code === "model_not_found");
});

test("a client that stops is not an error of the server", { skip }, async () => {
  const stream = await client().messages.create({ ...ask("a b c d e f g h i j k l m n o p"), model: "test-slow", stream: true });
  let events = 0;
  for await (const _ of stream) {
    if (++events === 4) stream.controller.abort();
  }
  assert.ok(events >= 4);
});

test("a stream that breaks throws", { skip }, async () => {
  const stream = await client().messages.create(ask("#test tokens=50 cut=5", { stream: true }));
  await assert.rejects(async () => {
    for await (const _ of stream) ;
  }, Anthropic.APIError);
});

test("errors are those of the SDK", { skip }, async () => {
  await assert.rejects(client("rph_nonsense").messages.create(ask("x")), Anthropic.AuthenticationError);
  await assert.rejects(client().messages.create(ask("x", { model: "nothing" })), Anthropic.NotFoundError);
  await assert.rejects(client().messages.create(ask("x", { max_tokens: 20_000 })), Anthropic.BadRequestError);
  await assert.rejects(client(poor, 2).messages.create(ask("x", { model: "unit", max_tokens: 5 })), (e) => e.status === 402 && e.error.error.type === "billing_error");
  await assert.rejects(client(key, 1).messages.create(ask("x", { model: "test-error-429" })), Anthropic.RateLimitError);
});

test("tokens are counted", { skip }, async () => {
  const { max_tokens, ...question } = ask("how many tokens is this");
  assert.ok((await client().messages.countTokens({ ...question, tools })).input_tokens > 5);
});

// The npm package @google/genai against a running Rephlo, which e2e starts. The
// models behind it speak OpenAI's protocol, so every answer is translated.
import assert from "node:assert/strict";
import test from "node:test";
import { ApiError, GoogleGenAI } from "@google/genai";

const { REPHLO_COMPAT_API: api, REPHLO_COMPAT_KEY: key, REPHLO_COMPAT_POOR_KEY: poor } = process.env;
const skip = api ? false : "run through the end-to-end tests: make e2e";
const client = (apiKey = key) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: api } });
const model = "test-echo";

test("a whole answer", { skip }, async () => {
  const answer = await client().models.generateContent({ model, contents: "say this back to me" });
  assert.match(answer.text, /say this back to me/);
  assert.equal(answer.candidates[0].finishReason, "STOP");
  assert.ok(answer.usageMetadata.promptTokenCount > 0 && answer.usageMetadata.candidatesTokenCount > 0);
  assert.ok(Number(answer.sdkHttpResponse.headers["x-rephlo-credits-charged"]) > 0);
});

test("a streamed answer adds up to the whole one", { skip }, async () => {
  let text = "", last;
  for await (const piece of await client().models.generateContentStream({ model, contents: "say this back to me" })) {
    text += piece.text ?? "";
    last = piece;
  }
  assert.match(text, /say this back to me/);
  assert.ok(last.usageMetadata.candidatesTokenCount > 0);
});

test("parallel tools and their results", { skip }, async () => {
  const config = { tools: [{ functionDeclarations: [{ name: "look", description: "Looks", parametersJsonSchema: { type: "object", properties: { x: { type: "integer" } } } }] }] };
  const question = { role: "user", parts: [{ text: '#test tool=look:{"x":1} tool=look:{"x":2}' }] };
  const answer = await client().models.generateContent({ model, contents: [question], config });
  assert.deepEqual(answer.functionCalls.map((c) => [c.name, c.args]), [["look", { x: 1 }], ["look", { x: 2 }]]);
  const results = answer.functionCalls.map((c) => ({ functionResponse: { id: c.id, name: c.name, response: { output: "seen" } } }));
  const next = await client().models.generateContent({
    model, config, contents: [question, answer.candidates[0].content, { role: "user", parts: [...results, { text: "thank you" }] }],
  });
  assert.match(next.text, /thank you/);
});

test("tokens are counted", { skip }, async () => {
  const { totalTokens } = await client().models.countTokens({ model, contents: "say this back to me" });
  assert.ok(totalTokens > 0);
});

test("embeddings", { skip }, async () => {
  const { embeddings } = await client().models.embedContent({ model, contents: ["one", "two"], config: { outputDimensionality: 8 } });
  assert.deepEqual(embeddings.map((e) => e.values.length), [8, 8]);
  assert.ok(embeddings.every((e) => Math.abs(Math.hypot(...e.values) - 1) < 1e-5));
});

test("the models, page by page and one alone", { skip }, async () => {
  const names = [];
  for await (const m of await client().models.list({ config: { pageSize: 2 } })) names.push(m.name);
  assert.ok(names.length > 2 && new Set(names).size === names.length && names.includes(`models/${model}`), names.join());
  const one = await client().models.get({ model });
  assert.equal(one.name, `models/${model}`);
  assert.ok(one.supportedActions.includes("generateContent") && one.outputTokenLimit > 0);
});

test("errors are the SDK's own", { skip }, async () => {
  const status = (code) => (e) => e instanceof ApiError && e.status === code;
  await assert.rejects(client().models.generateContent({ model: "no-such-model", contents: "a" }), status(404));
  await assert.rejects(client().models.get({ model: "no-such-model" }), status(404));
  await assert.rejects(client("rph_not_a_key").models.generateContent({ model, contents: "a" }), status(401));
  await assert.rejects(client(poor).models.generateContent({ model: "unit", contents: "a", config: { maxOutputTokens: 5 } }), status(402));
});

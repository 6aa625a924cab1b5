// The npm package @anthropic-ai/sdk, with the models of every vendor.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { api, feature, key, number, place, png, seen, warm } from "./matrix.js";

const name = "npm @anthropic-ai/sdk";
const client = new Anthropic({ baseURL: api, apiKey: key, maxRetries: 0 });
const user = (content) => ({ role: "user", content });
const ask = (model, messages, more = {}) => ({ model, max_tokens: 4000, messages, ...more });
const tools = [{ name: "look", description: "Looks", input_schema: number }];
const text = (answer) => answer.content.filter((b) => b.type === "text").map((b) => b.text).join("");

feature(name, "answer", async ({ model }) => {
  const answer = await client.messages.create(ask(model, [user("hello")], { system: "be brief" }));
  assert.equal(text(answer), "you said: hello");
  assert.deepEqual([answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens], ["end_turn", 10, 5]);
});

feature(name, "stream", async ({ model }) => {
  const answer = await client.messages.stream(ask(model, [user("one two three")])).finalMessage();
  assert.equal(text(answer), "you said: one two three");
  assert.deepEqual([answer.stop_reason, answer.usage.output_tokens], ["end_turn", 5]);
});

async function loop(send) {
  const first = await send([user("please look")]);
  assert.equal(first.stop_reason, "tool_use");
  const calls = first.content.filter((b) => b.type === "tool_use");
  assert.deepEqual(calls.map((c) => [c.name, c.input]), [["look", { x: 1 }], ["look", { x: 2 }]]);
  const results = calls.map((c, i) => ({ type: "tool_result", tool_use_id: c.id, content: `thing ${i + 1}` }));
  const next = await send([user("please look"), { role: "assistant", content: first.content }, user(results)]);
  assert.equal(text(next), "the tools say thing 1 and thing 2");
  return first;
}
feature(name, "parallel tools", ({ model }) => loop((m) => client.messages.create(ask(model, m, { tools }))));
feature(name, "tools, streamed", ({ model }) => loop((m) => client.messages.stream(ask(model, m, { tools })).finalMessage()));

feature(name, "vision", async ({ model }) => {
  const answer = await client.messages.create(ask(model, [user([
    { type: "image", source: { type: "base64", media_type: "image/png", data: png } }, { type: "text", text: "what is this" },
  ])]));
  assert.match(text(answer), seen);
});

feature(name, "structured output", async ({ model }) => {
  const answer = await client.messages.create(ask(model, [user("where is it warm")], { output_config: { format: { type: "json_schema", schema: place } } }));
  assert.deepEqual(JSON.parse(text(answer)), warm);
});

const thinking = { type: "enabled", budget_tokens: 1024 };
for (const [how, send] of [["", (b) => client.messages.create(b)], [", streamed", (b) => client.messages.stream(b).finalMessage()]]) {
  feature(name, `thoughts with tools, two turns${how}`, async ({ model, vendor }) => {
    const first = await loop((m) => send(ask(model, m, { tools, thinking })));
    if (vendor !== "openai") assert.equal(first.content[0].thinking, "I should think about this.");
  });
}

feature(name, "a busy vendor is an error", ({ busy }) => assert.rejects(client.messages.create(ask(busy, [user("hello")])), Anthropic.RateLimitError));

feature(name, "a stream that breaks throws", async ({ broken }) => {
  const stream = await client.messages.create(ask(broken, [user("one two three four five six seven eight")], { stream: true }));
  await assert.rejects(async () => {
    for await (const _ of stream) ;
  }, Anthropic.APIError);
});

// The npm package openai, with the models of every vendor.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { api, feature, key, number, place, png, seen, warm } from "./matrix.js";

const name = "npm openai";
const client = new OpenAI({ baseURL: `${api}/v1`, apiKey: key, maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const tools = [{ type: "function", function: { name: "look", description: "Looks", parameters: number } }];

feature(name, "chat: answer", async ({ model }) => {
  const { choices, usage } = await client.chat.completions.create({ model, messages: [{ role: "system", content: "be brief" }, ...user("hello")] });
  assert.equal(choices[0].message.content, "you said: hello");
  assert.deepEqual([choices[0].finish_reason, usage.prompt_tokens, usage.completion_tokens], ["stop", 10, 5]);
});

feature(name, "chat: stream", async ({ model }) => {
  const runner = client.chat.completions.stream({ model, messages: user("one two three"), stream_options: { include_usage: true } });
  const whole = await runner.finalChatCompletion();
  assert.equal(whole.choices[0].message.content, "you said: one two three");
  assert.deepEqual([whole.choices[0].finish_reason, whole.usage.completion_tokens], ["stop", 5]);
});

async function loop(ask) {
  const first = await ask(user("please look"));
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.deepEqual(message.tool_calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]), [["look", { x: 1 }], ["look", { x: 2 }]]);
  const results = message.tool_calls.map((c, i) => ({ role: "tool", tool_call_id: c.id, content: `thing ${i + 1}` }));
  const next = await ask([...user("please look"), message, ...results]);
  assert.equal(next.choices[0].message.content, "the tools say thing 1 and thing 2");
}
feature(name, "chat: parallel tools", ({ model }) => loop((messages) => client.chat.completions.create({ model, messages, tools })));
feature(name, "chat: tools, streamed", ({ model }) => loop((messages) => client.chat.completions.stream({ model, messages, tools }).finalChatCompletion()));

feature(name, "chat: vision", async ({ model }) => {
  const { choices } = await client.chat.completions.create({
    model, messages: user([{ type: "text", text: "what is this" }, { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }]),
  });
  assert.match(choices[0].message.content, seen);
});

feature(name, "chat: structured output", async ({ model }) => {
  const { choices } = await client.chat.completions.parse({
    model, messages: user("where is it warm"), response_format: { type: "json_schema", json_schema: { name: "place", strict: true, schema: place } },
  });
  assert.deepEqual(choices[0].message.parsed ?? JSON.parse(choices[0].message.content), warm);
  assert.equal(choices[0].finish_reason, "stop");
});

feature(name, "chat: a busy vendor is an error", ({ busy }) =>
  assert.rejects(client.chat.completions.create({ model: busy, messages: user("hello") }), OpenAI.RateLimitError));

feature(name, "chat: a stream that breaks throws", async ({ broken }) => {
  const stream = await client.chat.completions.create({ model: broken, messages: user("one two three four five six seven eight"), stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream) ;
  }, OpenAI.APIError);
});

feature(name, "responses: answer", async ({ model }) => {
  const answer = await client.responses.create({ model, instructions: "be brief", input: "hello", store: false });
  assert.equal(answer.output_text, "you said: hello");
  assert.deepEqual([answer.status, answer.usage.input_tokens, answer.usage.output_tokens], ["completed", 10, 5]);
});

feature(name, "responses: stream", async ({ model }) => {
  const whole = await client.responses.stream({ model, input: "one two three", store: false }).finalResponse();
  assert.equal(whole.output_text, "you said: one two three");
});

feature(name, "responses: parallel tools", async ({ model }) => {
  const look = [{ type: "function", name: "look", parameters: number, strict: true }];
  const input = user("please look");
  const first = await client.responses.create({ model, input, tools: look, store: false });
  const calls = first.output.filter((o) => o.type === "function_call");
  assert.deepEqual(calls.map((c) => [c.name, JSON.parse(c.arguments)]), [["look", { x: 1 }], ["look", { x: 2 }]]);
  const results = calls.map((c, i) => ({ type: "function_call_output", call_id: c.call_id, output: `thing ${i + 1}` }));
  const next = await client.responses.create({ model, input: [...input, ...first.output, ...results], tools: look, store: false });
  assert.equal(next.output_text, "the tools say thing 1 and thing 2");
});

feature(name, "responses: structured output", async ({ model }) => {
  const answer = await client.responses.parse({ model, input: "where is it warm", store: false, text: { format: { type: "json_schema", name: "place", schema: place, strict: true } } });
  assert.deepEqual(JSON.parse(answer.output_text), warm);
});

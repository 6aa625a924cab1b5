// The AI SDK of Vercel with three of its providers, with the models of every
// vendor: it checks each chunk against a schema of its own.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { api, feature, key, png, seen, warm } from "./matrix.js";

const apiKey = key ?? "none";
const openai = createOpenAI({ apiKey, baseURL: `${api}/v1` });
const providers = [
  ["ai with @ai-sdk/openai (responses)", (id) => openai.responses(id)],
  ["ai with @ai-sdk/openai (chat)", (id) => openai.chat(id)],
  ["ai with @ai-sdk/openai-compatible", createOpenAICompatible({ name: "rephlo", apiKey, baseURL: `${api}/v1`, supportsStructuredOutputs: true, includeUsage: true })],
  ["ai with @ai-sdk/anthropic", createAnthropic({ apiKey, baseURL: `${api}/v1` })],
];
const schema = z.object({ city: z.string(), degrees: z.number().int() });
const tools = () => {
  let n = 0;
  return { look: tool({ description: "Looks", inputSchema: z.object({ x: z.number().int() }), execute: async () => `thing ${++n}` }) };
};

for (const [name, of] of providers) {
  const settings = { maxRetries: 0 };
  feature(name, "answer", async ({ model }) => {
    const { text, finishReason, usage } = await generateText({ ...settings, model: of(model), system: "be brief", prompt: "hello" });
    assert.deepEqual([text, finishReason, usage.inputTokens, usage.outputTokens], ["you said: hello", "stop", 10, 5]);
  });
  feature(name, "stream", async ({ model }) => {
    const result = streamText({ ...settings, model: of(model), prompt: "one two three", onError: () => {} });
    assert.equal(await result.text, "you said: one two three");
    assert.equal((await result.usage).outputTokens, 5);
  });
  feature(name, "tool loop", async ({ model }) => {
    const { text, steps } = await generateText({ ...settings, model: of(model), prompt: "please look", tools: tools(), stopWhen: stepCountIs(3) });
    assert.deepEqual([text, steps[0].toolCalls.map((c) => c.input)], ["the tools say thing 1 and thing 2", [{ x: 1 }, { x: 2 }]]);
  });
  feature(name, "tool loop, streamed", async ({ model }) => {
    const result = streamText({ ...settings, model: of(model), prompt: "please look", tools: tools(), stopWhen: stepCountIs(3), onError: () => {} });
    assert.equal(await result.text, "the tools say thing 1 and thing 2");
  });
  feature(name, "structured output", async ({ model }) => {
    const { object } = await generateObject({ ...settings, model: of(model), schema, prompt: "where is it warm" });
    assert.deepEqual(object, warm);
  });
  feature(name, "structured output, streamed", async ({ model }) => {
    const result = streamObject({ ...settings, model: of(model), schema, prompt: "where is it warm", onError: () => {} });
    for await (const _ of result.partialObjectStream) ;
    assert.deepEqual(await result.object, warm);
  });
  feature(name, "vision", async ({ model }) => {
    const { text } = await generateText({
      ...settings, model: of(model), messages: [{ role: "user", content: [{ type: "text", text: "what is this" }, { type: "image", image: Buffer.from(png, "base64"), mediaType: "image/png" }] }],
    });
    assert.match(text, seen);
  });
  feature(name, "a busy vendor is an error", ({ busy }) =>
    assert.rejects(generateText({ ...settings, model: of(busy), prompt: "hello" }), (e) => APICallError.isInstance(e) && e.statusCode === 429));
}

// The npm package @google/genai, with the models of every vendor.
import assert from "node:assert/strict";
import { ApiError, GoogleGenAI } from "@google/genai";
import { api, feature, key, number, place, png, seen, warm } from "./matrix.js";

const name = "npm @google/genai";
const client = new GoogleGenAI({ apiKey: key ?? "none", httpOptions: { baseUrl: api } });
const tools = { tools: [{ functionDeclarations: [{ name: "look", description: "Looks", parametersJsonSchema: number }] }] };
const user = (...parts) => ({ role: "user", parts });

// collect adds the pieces of a stream up.
async function collect(pieces) {
  const parts = [];
  let last;
  for await (const piece of pieces) {
    parts.push(...(piece.candidates?.[0]?.content?.parts ?? []));
    last = piece;
  }
  const text = parts.filter((p) => p.text && !p.thought).map((p) => p.text).join("");
  return { text, parts, last, functionCalls: parts.map((p) => p.functionCall).filter(Boolean), content: { role: "model", parts } };
}
async function whole(request) {
  const answer = await client.models.generateContent(request);
  const content = answer.candidates[0].content;
  return { text: content.parts.filter((p) => p.text && !p.thought).map((p) => p.text).join(""), parts: content.parts, last: answer, functionCalls: answer.functionCalls, content };
}
const streamed = async (request) => collect(await client.models.generateContentStream(request));

for (const [feat, send] of [["answer", whole], ["stream", streamed]]) {
  feature(name, feat, async ({ model }) => {
    const { text, last } = await send({ model, contents: "one two three", config: { systemInstruction: "be brief" } });
    assert.equal(text, "you said: one two three");
    assert.equal(last.candidates[0].finishReason, "STOP");
    assert.deepEqual([last.usageMetadata.promptTokenCount, last.usageMetadata.candidatesTokenCount], [10, 5]);
  });
}

async function loop(model, send, config) {
  const question = user({ text: "please look" });
  const first = await send({ model, contents: [question], config });
  assert.deepEqual(first.functionCalls.map((c) => [c.name, c.args]), [["look", { x: 1 }], ["look", { x: 2 }]]);
  const results = first.functionCalls.map((c, i) => ({ functionResponse: { id: c.id, name: c.name, response: { output: `thing ${i + 1}` } } }));
  const next = await send({ model, contents: [question, first.content, user(...results)], config });
  assert.equal(next.text, "the tools say thing 1 and thing 2");
  return first;
}
feature(name, "parallel tools", ({ model }) => loop(model, whole, tools));
feature(name, "tools, streamed", ({ model }) => loop(model, streamed, tools));

for (const [how, send] of [["", whole], [", streamed", streamed]]) {
  feature(name, `thoughts with tools, two turns${how}`, async ({ model, vendor }) => {
    const first = await loop(model, send, { ...tools, thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } });
    if (vendor !== "openai") assert.equal(first.parts.filter((p) => p.thought).map((p) => p.text).join(""), "I should think about this.");
  });
}

feature(name, "vision", async ({ model }) => {
  const { text } = await whole({ model, contents: [user({ inlineData: { mimeType: "image/png", data: png } }, { text: "what is this" })] });
  assert.match(text, seen);
});

feature(name, "structured output", async ({ model }) => {
  const { text } = await whole({ model, contents: "where is it warm", config: { responseMimeType: "application/json", responseJsonSchema: place } });
  assert.deepEqual(JSON.parse(text), warm);
});

feature(name, "a busy vendor is an error", ({ busy }) =>
  assert.rejects(client.models.generateContent({ model: busy, contents: "hello" }), (e) => e instanceof ApiError && e.status === 429));

feature(name, "a stream that breaks throws", ({ broken }) =>
  assert.rejects(streamed({ model: broken, contents: "one two three four five six seven eight" })));

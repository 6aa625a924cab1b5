// What the tables of clients share: the models of the vendors, what is asked of
// each, and how a cell of the table is named.
import test from "node:test";

export const { REPHLO_COMPAT_API: api, REPHLO_COMPAT_KEY: key } = process.env;
export const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const seen = /an image of 70 bytes/;
export const place = { type: "object", properties: { city: { type: "string" }, degrees: { type: "integer" } }, required: ["city", "degrees"], additionalProperties: false };
export const warm = { city: "Lisbon", degrees: 21 };
export const number = { type: "object", properties: { x: { type: "integer" } }, required: ["x"], additionalProperties: false };

const vendors = (process.env.REPHLO_COMPAT_VENDORS ?? "").split(",").filter(Boolean);
const skip = api ? false : "run through the end-to-end tests: make e2e";

// feature tries one feature of a client with the model of each vendor.
export function feature(client, name, check) {
  for (const vendor of vendors.length ? vendors : ["none"]) {
    test(`${client} | ${name} | ${vendor}`, { skip }, () => check({
      model: { openai: "gpt-actor", anthropic: "claude-actor", google: "gemini-actor" }[vendor],
      busy: { openai: "busy-gpt", anthropic: "busy-claude", google: "busy-gemini" }[vendor],
      broken: { openai: "broken-gpt", anthropic: "broken-claude", google: "broken-gemini" }[vendor],
      vendor,
    }));
  }
}

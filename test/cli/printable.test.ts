import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { printable, printableJson } from "../../src/cli/printable.ts";
import { describeDelivery } from "../../src/cli/receiver/received-webhook.ts";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { Delivery } from "../../src/cli/receiver/receiver.ts";

/** What moves the cursor, ends a line or turns text around. */
const dangerous = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}]/u;
const nasty = fc.constantFrom(
  "\n",
  "\r",
  "\u001b[2J",
  "\u009b31m",
  "\u007f",
  "\u2028",
  "\u2029",
  "\u202e",
  "\u2066",
  "\u061c",
  "\u200f",
  "\ud800",
  "\0",
);
const texts = fc.array(fc.oneof(nasty, fc.string({ unit: "grapheme" }))).map((parts) => parts.join(""));

test("no text has a character that a terminal obeys, and harmless text stays", () => {
  fc.assert(fc.property(texts, (text) => !dangerous.test(printable(text))));
  expect(printable('Zoë 日本 🎉 \\ "')).toBe('Zoë 日本 🎉 \\ "');
  expect(printable("a\nb\u001b[1m\u202e")).toBe("a\\u000ab\\u001b[1m\\u202e");
});

test("JSON of any value is one harmless line that reads as the value", () => {
  fc.assert(
    fc.property(fc.dictionary(texts, texts), (value) => {
      const line = printableJson(value);
      expect(dangerous.test(line)).toBe(false);
      expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

describe("a webhook of a stranger", () => {
  test.each([
    ["type", { type: "x\n12:00:00.000  verified    call.success #1  OUT-1" }],
    ["reason", { type: "call.failure", data: { reason: "\u001b[2J\u202e" } }],
    ["call_sid", { type: "call.failure", data: { call_sid: "OUT-1\r\u2028x" } }],
    ["status", { type: "call.failure", data: { status: "\u009b1A", previous_status: "\u0085" } }],
  ])("is one line with any %s", async (_, body) => {
    const seen = Promise.withResolvers<Delivery>();
    await using receiver = await startReceiver({ secrets: [], onDelivery: seen.resolve });
    await fetch(receiver.url, { method: "POST", body: JSON.stringify(body) });
    expect(dangerous.test(describeDelivery(await seen.promise))).toBe(false);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { storedDetails } from "../../../src/domain/calls/call-details.ts";
import { compileTemplate, findTemplateFaults, maxPlaceholders, templateMaxBytes } from "../../../src/domain/webhooks/request-template.ts";
import type { JsonValue } from "../../../src/domain/webhooks/request-template.ts";
import { isSameTemplate, renderContent } from "../../../src/domain/webhooks/webhook-content.ts";
import { callEvent, operationalEvent, testEvent } from "../../harness/events.ts";

const json = "application/json";
const text = "text/plain";
const faultsOf = (body: unknown, contentType = json) =>
  findTemplateFaults({ content_type: contentType, body: body as JsonValue }).map(({ path }) => `/${path.join("/")}`);
const fill = (body: JsonValue, event = callEvent(), contentType = json) =>
  compileTemplate({ method: "POST", content_type: contentType, body }).fill(event);
const nested = (depth: number): JsonValue => {
  let body: JsonValue = 1;
  for (let level = 0; level < depth; level += 1) body = [body];
  return body;
};

describe("a template without faults", () => {
  test.each<[name: string, body: JsonValue, contentType?: string]>([
    ["no placeholder", { a: [1, true, null, "x"] }],
    ["a fact", "{{type}}{{timestamp}}{{data.status}}"],
    ["a fact of operational events", "{{data.endpoint_id}}{{data.placing_id}}{{data.state}}"],
    ["metadata and details of any name", ["{{data.metadata.lead_id}}", "{{data.details.duration_s}}", "{{data.metadata.constructor}}"]],
    ["braces that open nothing", "{a} }} {b}"],
    ["a placeholder in braces", '{"a":{{data.terminal}}}'],
    ["as many placeholders as there may be", Array.from({ length: maxPlaceholders }, () => "{{type}}")],
    ["as many bytes as there may be", "x".repeat(templateMaxBytes - 2)],
    ["as deep as it may be", nested(100)],
    ["another type of JSON", {}, "application/vnd.github+json; charset=UTF-8"],
    ["text", "Call {{data.call_sid}}", "text/plain;charset=utf-8"],
    ["numbers that keep their digits", [0, -1.5, Number.MAX_SAFE_INTEGER]],
    ["a key of any name", JSON.parse('{"__proto__": "{{type}}"}') as JsonValue],
  ])("%s", (_, body, contentType) => {
    expect(faultsOf(body, contentType)).toEqual([]);
  });
});

describe("a template with a fault", () => {
  test.each<[name: string, body: unknown, pointers: readonly string[], contentType?: string]>([
    ["a blank in a placeholder", { a: "{{ type }}" }, ["/body/a"]],
    ["a placeholder that is not closed", ["x", "a {{type} b"], ["/body/1"]],
    ["an empty placeholder", "{{}}", ["/body"]],
    ["three braces", "{{{type}}}", ["/body"]],
    ["a second one", "{{type}}{{", ["/body"]],
    ["a path that no event has", "{{data.stat}}", ["/body"]],
    ["the id, which the header has", "{{id}}", ["/body"]],
    ["an object", ["{{data}}", "{{data.metadata}}", "{{data.details}}"], ["/body/0", "/body/1", "/body/2"]],
    ["a list", "{{data.hook_ids}}", ["/body"]],
    ["a path of the prototype", ["{{constructor}}", "{{data.__proto__}}", "{{data.toString}}"], ["/body/0", "/body/1", "/body/2"]],
    [
      "metadata that cannot be",
      ["{{data.metadata.a-b}}", "{{data.metadata.}}", "{{data.metadata.a.b}}"],
      ["/body/0", "/body/1", "/body/2"],
    ],
    ["one too many", Array.from({ length: maxPlaceholders + 1 }, () => "{{type}}"), ["/body"]],
    ["one byte too many", "x".repeat(templateMaxBytes - 1), ["/body"]],
    ["too many bytes of UTF-8", "é".repeat(templateMaxBytes / 2), ["/body"]],
    ["too deep", nested(101), ["/body"]],
    ["far too deep", JSON.parse("[".repeat(400_000) + "]".repeat(400_000)), ["/body"]],
    ["a key with a placeholder", { "{{type}}": 1 }, ["/body/{{type}}"]],
    ["a number that loses digits", JSON.parse('{"n":12345678901234567890}'), ["/body/n"]],
    ["a number that is none", [JSON.parse("1e400")], ["/body/0"]],
    ["an object as text", { a: 1 }, ["/body"], text],
    ["a form", "a=b", ["/content_type"], "application/x-www-form-urlencoded"],
    ["another charset", "a", ["/content_type"], "text/plain; charset=latin1"],
    ["no media type", "a", ["/content_type"], "json"],
    ["two lines", "a", ["/content_type"], "text/plain\r\nx-injected: 1"],
    ["a long media type", "a", ["/content_type"], `text/${"x".repeat(96)}`],
  ])("%s", (_, body, pointers, contentType) => {
    expect(faultsOf(body, contentType)).toEqual(pointers);
  });
});

describe("a filled template", () => {
  const details = storedDetails({ duration_s: 35, cost: 0.5, done: true, url: null });

  test("keeps the type of a leaf that is one placeholder", () => {
    const body = ["{{data.terminal}}", "{{data.sequence}}", "{{data.status}}", "{{data.details.cost}}", "{{data.details.url}}"];
    expect(JSON.parse(fill(body, callEvent({ details })))).toEqual([true, 3, "failure", 0.5, null]);
  });

  test("has empty text for null inside text", () => {
    const body = { note: "[{{data.previous_status}}|{{data.terminal}}|{{data.sequence}}|{{data.metadata.none}}]" };
    expect(JSON.parse(fill(body, callEvent({ previousStatus: null })))).toEqual({ note: "[|true|3|]" });
    expect(fill("{{data.previous_status}}", callEvent({ previousStatus: null }), text)).toBe("");
  });

  test("has null where the event has no such value", () => {
    const body = [
      "{{data.metadata.none}}",
      "{{data.details.none}}",
      "{{data.metadata.__proto__}}",
      "{{data.state}}",
      "{{data.metadata.toString}}",
    ];
    expect(JSON.parse(fill(body))).toEqual([null, null, null, null, null]);
    const operational = operationalEvent("endpoint.disabled", { endpointId: "ep_1", metadata: null });
    expect(JSON.parse(fill(["{{data.status}}", "{{data.metadata.lead_id}}", "{{data.endpoint_id}}"], operational as never))).toEqual([
      null,
      null,
      "ep_1",
    ]);
    expect(JSON.parse(fill(["{{data.status}}", "{{type}}"], testEvent))).toEqual([null, "endpoint.test"]);
  });

  test("is not read again", () => {
    const event = callEvent({ reason: '{{data.status}}"},{"a":"b', metadata: { lead_id: "{{type}}" } });
    expect(JSON.parse(fill({ a: "{{data.reason}}", b: "x {{data.reason}} {{data.metadata.lead_id}}" }, event))).toEqual({
      a: '{{data.status}}"},{"a":"b',
      b: 'x {{data.status}}"},{"a":"b {{type}}',
    });
    expect(fill("{{data.reason}}{{data.metadata.lead_id}}", event, text)).toBe('{{data.status}}"},{"a":"b{{type}}');
  });

  test("keeps keys, their order and every other value", () => {
    const body = JSON.parse('{"b":1.5,"a":[null,true,"é\\u0000"],"__proto__":{"x":"{{type}}"}}') as JsonValue;
    expect(fill(body)).toBe('{"b":1.5,"a":[null,true,"é\\u0000"],"__proto__":{"x":"call.failure"}}');
  });
});

/** JSON that a template may be, with strings that come near to placeholders. */
const nearPlaceholder = fc.string({
  unit: fc.constantFrom("{{type}}", "{{data.reason}}", "{", "}", "\\", '"', "a", "é", "\u0000", "\ud83d"),
  maxLength: 6,
});
const anyBody = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    nearPlaceholder,
    fc.constantFrom<JsonValue>(null, true, 0, -1.25),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom("a", "b", "__proto__", "é\u2028"), tie("value"), { noNullPrototype: true }),
  ),
})).value;

/** Says what a filled template is, in the plainest way: by a copy of the body. */
function expected(body: JsonValue, values: Readonly<Record<string, string>>): JsonValue {
  if (typeof body === "string") return body.replaceAll(/\{\{(type|data\.reason)\}\}/g, (_, path: string) => values[path] ?? "");
  if (Array.isArray(body)) return body.map((item: JsonValue) => expected(item, values));
  if (typeof body !== "object" || body === null) return body;
  return Object.fromEntries(Object.entries(body).map(([key, value]) => [key, expected(value, values)]));
}

describe("any template without faults", () => {
  test("is the body with its placeholders replaced by any value", () => {
    fc.assert(
      fc.property(anyBody, fc.string({ unit: "binary", maxLength: 20 }), (body, reason) => {
        if (faultsOf(body).length > 0) return;
        // Control characters of a reason are blanks in every format.
        const said = reason.replaceAll(/(?![\b\t\n\f\r])\p{Cc}/gu, " ");
        const filled = fill(body, callEvent({ reason }));
        expect(JSON.stringify(JSON.parse(filled))).toBe(JSON.stringify(expected(body, { type: "call.failure", "data.reason": said })));
      }),
    );
  });

  test("is valid or has a fault, and never throws", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("{{", "}}", "{", "data.", "status", ".", " ", "metadata."), maxLength: 12 }),
        (leaf) => {
          if (faultsOf(leaf).length > 0) expect(() => fill(leaf)).toThrow("a template has");
          else expect(typeof JSON.parse(fill(["-", leaf]))).toBe("object");
        },
      ),
    );
  });

  test.each(["\u0001", '"', "€", "\ud800"])("stays under 512 KiB when every value is full of %j", (character) => {
    const value = character.repeat(Math.floor(2040 / Buffer.byteLength(character)));
    const event = callEvent({ metadata: { k: value }, reason: value, details: storedDetails({ d: character.repeat(160) }) });
    const leaf = Array.from({ length: maxPlaceholders }, () => "{{data.metadata.k}}").join("");
    const filler = "\u0001".repeat(1000);
    for (const [body, contentType] of [
      [{ leaf, filler }, json],
      [leaf + filler, text],
    ] as const) {
      expect(faultsOf(body, contentType)).toEqual([]);
      expect(Buffer.byteLength(fill(body, event, contentType))).toBeLessThan(512 * 1024);
    }
  });
});

const stored = (body: JsonValue) => JSON.stringify({ method: "POST", content_type: json, body });

test("a template is the same in another order of its keys, and another with another value", () => {
  expect(isSameTemplate(stored({ a: 1, b: [2] }), stored({ b: [2], a: 1 }))).toBe(true);
  expect(isSameTemplate(stored({ a: 1, b: [2] }), stored({ b: [2], a: "1" }))).toBe(false);
  expect(isSameTemplate(stored([1, 2]), stored([2, 1]))).toBe(false);
});

const tricky = '<!channel> @here *bold* [link](https://evil.example) <https://evil.example|x> :smile: & "q"';

const slackMessage = (event: Parameters<typeof renderContent>[0]) => {
  const { method, headers, body } = renderContent(event, { format: "slack", request: null }, null);
  expect([method, headers]).toEqual(["POST", { "content-type": json }]);
  return JSON.parse(body) as {
    text: string;
    blocks: { type: string; text?: Record<string, unknown>; fields?: Record<string, unknown>[] }[];
  };
};

describe("slack", () => {
  // https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and the reference of blocks.
  test.each([
    ["a call's", callEvent({ reason: tricky, callSid: tricky, source: tricky, status: tricky })],
    ["a test", testEvent],
    ["an operational", operationalEvent("endpoint.disabled", { endpointId: "ep_1", state: "disabled", reason: tricky })],
    ["the largest", callEvent({ reason: "x".repeat(2048), status: "s".repeat(200), callSid: "c".repeat(128) })],
  ])("%s event has the documented shape, and values from outside in plain text alone", (_, event) => {
    const { text: fallback, blocks, ...rest } = slackMessage(event);
    expect(rest).toEqual({});
    expect(fallback).toBe(`Ringback: ${event.type}`);
    expect(blocks.map(({ type }) => type)).toEqual(["header", "section", "section"]);
    const [header, section, reason] = blocks;
    const texts = [header?.text, ...(section?.fields ?? []), reason?.text];
    for (const element of texts) {
      expect(element).toEqual({ type: "plain_text", text: expect.any(String) as string, emoji: false });
      expect(String(element?.["text"]).length).toBeGreaterThan(0);
    }
    expect(String(header?.text?.["text"]).length).toBeLessThanOrEqual(150);
    expect(section?.fields?.length).toBeLessThanOrEqual(10);
    for (const field of section?.fields ?? []) expect(String(field["text"]).length).toBeLessThanOrEqual(2000);
    expect(String(reason?.text?.["text"]).length).toBeLessThanOrEqual(3000);
    expect(reason?.text?.["text"]).toBe(`Reason: ${event.data.reason ?? ""}`);
  });
});

describe("teams", () => {
  // Workflows webhook of Teams: one adaptive card in `attachments`; schema of adaptive cards 1.4.
  test.each([
    ["a call's", callEvent({ reason: tricky, callSid: tricky })],
    ["a test", testEvent],
    ["an operational", operationalEvent("source.suspended", { source: "default", state: "suspended", reason: tricky })],
    ["the largest", callEvent({ reason: '"'.repeat(2048), status: "s".repeat(200), callSid: "c".repeat(128) })],
  ])("%s event is a card without Markdown", (_, event) => {
    const { method, headers, body } = renderContent(event, { format: "teams", request: null }, null);
    expect([method, headers]).toEqual(["POST", { "content-type": json }]);
    expect(Buffer.byteLength(body)).toBeLessThan(28_000);
    const card = JSON.parse(body) as { attachments: { content: { body: unknown[] } }[] };
    const line = { type: "RichTextBlock", inlines: [expect.objectContaining({ type: "TextRun", text: expect.any(String) as string })] };
    expect(card).toEqual({
      type: "message",
      attachments: [
        {
          contentType: "application/vnd.microsoft.card.adaptive",
          content: {
            $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
            type: "AdaptiveCard",
            version: "1.4",
            body: Array.from({ length: 8 }, () => line),
          },
        },
      ],
    });
    expect(card.attachments[0]?.content.body.at(-1)).toMatchObject({ inlines: [{ text: `Reason: ${event.data.reason ?? ""}` }] });
  });
});

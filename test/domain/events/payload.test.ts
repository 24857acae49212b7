import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { storedDetails } from "../../../src/domain/calls/call-details.ts";
import { reasonMaxBytes } from "../../../src/domain/calls/call.ts";
import type { PayloadFormat } from "../../../src/domain/events/payload.ts";
import { isoTime, renderPayload } from "../../../src/domain/events/payload.ts";
import { callEvent, operationalEvent, testEvent } from "../../harness/events.ts";

const json = { "content-type": "application/json" };
const data = {
  watch_id: "wch_1",
  call_sid: "OUT-1",
  source: "default",
  status: "failure",
  previous_status: "calling",
  reason: "call queueing: max timeout limit exceeded",
  terminal: true,
  sequence: 3,
  observed_at: "2026-11-23T12:00:03.120Z",
  observed_after: "2026-11-23T12:00:01.100Z",
};
const nothing = Object.fromEntries(Object.keys(data).map((key) => [key, null]));
const time = "2026-11-23T12:00:03.120Z";

test("times are UTC with milliseconds", () => {
  expect(isoTime(Date.UTC(2026, 0, 2))).toBe("2026-01-02T00:00:00.000Z");
  expect(isoTime(null)).toBeNull();
});

test("a time is formatted as its Date is, whichever was formatted before", () => {
  const near = fc.integer({ min: 1_798_761_600_000, max: 1_798_761_600_130 });
  const deadline = near.map((atMs) => atMs + 86_400_000);
  const time = fc.oneof(near, deadline, fc.constant(0), fc.integer({ min: -8.64e15, max: 8.64e15 }));
  fc.assert(
    fc.property(fc.array(time, { maxLength: 400 }), (times) => {
      for (const atMs of times) expect(isoTime(atMs)).toBe(new Date(atMs).toISOString());
    }),
  );
});

describe("standard", () => {
  test("a call's event, keys in their order", () => {
    const { body, headers } = renderPayload(callEvent(), "standard", null);
    expect(headers).toEqual(json);
    expect(body).toBe(
      JSON.stringify({ type: "call.failure", timestamp: time, data: { ...data, metadata: { lead_id: "00Q5g000" }, details: {} } }),
    );
  });

  test("a test event has every key, null", () => {
    const { body } = renderPayload(testEvent, "standard", null);
    expect(JSON.parse(body)).toEqual({ type: "endpoint.test", timestamp: time, data: { ...nothing, metadata: {}, details: {} } });
  });

  test("an operational event has keys of its own", () => {
    const event = operationalEvent("endpoint.disabled", { endpointId: "ep_1", state: "disabled", reason: "gone" });
    expect(JSON.parse(renderPayload(event, "standard", null).body)).toEqual({
      type: "endpoint.disabled",
      timestamp: time,
      data: {
        endpoint_id: "ep_1",
        delivery_id: null,
        hook_ids: null,
        watch_id: null,
        call_sid: null,
        placing_id: null,
        key_id: null,
        source: null,
        state: "disabled",
        reason: "gone",
        metadata: null,
        idempotency_key: null,
        observed_at: time,
      },
    });
  });
});

describe("flat", () => {
  test("one object without nesting, metadata prefixed", () => {
    const { body, headers } = renderPayload(callEvent(), "flat", null);
    expect(headers).toEqual(json);
    expect(body).toBe(JSON.stringify({ id: "evt_1", type: "call.failure", timestamp: time, ...data, metadata_lead_id: "00Q5g000" }));
  });

  test("no metadata, no key for it", () => {
    expect(JSON.parse(renderPayload(testEvent, "flat", null).body)).toEqual({
      id: "evt_2",
      type: "endpoint.test",
      timestamp: time,
      ...nothing,
    });
  });

  test("metadata never hides a fact", () => {
    const metadata = Object.fromEntries(["id", "type", "status", "terminal", "__proto__", "constructor"].map((key) => [key, "mine"]));
    const flat = JSON.parse(renderPayload(callEvent({ metadata }), "flat", null).body);
    expect(flat).toMatchObject({ id: "evt_1", type: "call.failure", ...data, metadata_status: "mine", metadata___proto__: "mine" });
  });
});

describe("form", () => {
  test("the flat keys; null is empty, booleans are words", () => {
    const { body, headers } = renderPayload(callEvent({ previousStatus: null, reason: "a b&c=d+é" }), "form", null);
    expect(headers).toEqual({ "content-type": "application/x-www-form-urlencoded" });
    expect(body).toContain("previous_status=&reason=a+b%26c%3Dd%2B%C3%A9&terminal=true&sequence=3&");
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      id: "evt_1",
      type: "call.failure",
      timestamp: time,
      ...data,
      previous_status: "",
      reason: "a b&c=d+é",
      terminal: "true",
      sequence: "3",
      metadata_lead_id: "00Q5g000",
    });
  });
});

describe("cloudevents", () => {
  const headers = {
    ...json,
    "ce-specversion": "1.0",
    "ce-id": "evt_1",
    "ce-type": "ai.ringback.call.failure",
    "ce-source": "https://ringback.example/sources/default",
    "ce-subject": "OUT-1",
    "ce-time": time,
  };

  test("the context in headers, data in the body", () => {
    const payload = renderPayload(callEvent(), "cloudevents", "https://ringback.example");
    expect(payload.headers).toEqual(headers);
    expect(payload.body).toBe(JSON.stringify({ ...data, metadata: { lead_id: "00Q5g000" }, details: {} }));
  });

  test.each<[publicUrl: string | null, source: string | null, ceSource: string]>([
    ["https://ringback.example/", "default", "https://ringback.example/sources/default"],
    ["https://ringback.example/base//", "default", "https://ringback.example/base/sources/default"],
    [null, "default", "/sources/default"],
    [null, null, "/sources/ringback"],
    // The name is encoded for the URI, and the `%` of that for the header.
    [null, 'a b/é"', "/sources/a%2520b%252F%25C3%25A9%2522"],
  ])("of %j and source %j", (publicUrl, source, ceSource) => {
    expect(renderPayload(callEvent({ source }), "cloudevents", publicUrl).headers).toEqual({ ...headers, "ce-source": ceSource });
  });

  test("an event without a subject omits the header, because an empty one is not allowed", () => {
    expect(renderPayload(testEvent, "cloudevents", null).headers).not.toHaveProperty("ce-subject");
  });

  test("an operational event is about its endpoint", () => {
    const { headers: made } = renderPayload(operationalEvent("delivery.exhausted", { endpointId: "ep_1" }), "cloudevents", null);
    expect(made).toMatchObject({ "ce-subject": "ep_1", "ce-type": "ai.ringback.delivery.exhausted" });
  });

  test("any source name becomes a printable header that decodes to its URI", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (source) => {
        const value = renderPayload(callEvent({ source }), "cloudevents", null).headers["ce-source"] ?? "";
        expect(value).toMatch(/^[\u0021\u0023-\u007e]+$/);
        expect(decodeURIComponent(decodeURIComponent(value))).toBe(`/sources/${source.toWellFormed()}`);
      }),
    );
  });
});

function cutTo(bytes: number, text: string): string {
  let cut = text;
  while (Buffer.byteLength(cut) > bytes) cut = cut.slice(0, -Math.ceil((Buffer.byteLength(cut) - bytes) / 4));
  return cut;
}

/** Everything an event can hold, each at its maximum. */
function largest(reason: string, status: string, value: string) {
  const keys = Array.from({ length: 16 }, (_, n) => `k${n}`.padEnd(40, "_"));
  const [first = "", ...rest] = keys;
  const metadata = { [first]: cutTo(2048 - 16 * 40, value), ...Object.fromEntries(rest.map((key) => [key, ""])) };
  const callSid = `OUT-${"x".repeat(128)}`;
  const known = { status: status.slice(0, 200), previousStatus: status.slice(0, 200), reason: cutTo(reasonMaxBytes, reason) };
  const names = Array.from({ length: 8 }, (_, n) => `d${n}`.padEnd(40, "_"));
  const details = storedDetails(Object.fromEntries(names.map((name) => [name, cutTo(200, value.toWellFormed())])));
  return callEvent({ ...known, callSid, metadata, details, source: "s".repeat(64) }, { id: `evt_${"x".repeat(32)}` });
}

const details = '{"duration_s":"35","cost":0.5,"done":true,"url":null}';
const bodyOf = (format: PayloadFormat) => JSON.parse(renderPayload(callEvent({ details }), format, null).body) as object;

describe("details", () => {
  const values = { duration_s: "35", cost: 0.5, done: true, url: null };

  test("keep their types in the formats of JSON", () => {
    expect(bodyOf("standard")).toMatchObject({ data: { details: values } });
    expect(bodyOf("cloudevents")).toMatchObject({ details: values });
    expect(bodyOf("flat")).toMatchObject({ details_duration_s: "35", details_cost: 0.5, details_done: true, details_url: null });
  });

  test("are text in a form, and empty where there is none", () => {
    const form = new URLSearchParams(renderPayload(callEvent({ details }), "form", null).body);
    const names = ["duration_s", "cost", "done", "url"];
    expect(names.map((name) => form.get(`details_${name}`))).toEqual(["35", "0.5", "true", ""]);
  });
});

describe("the size of a body", () => {
  const formats: readonly PayloadFormat[] = ["standard", "flat", "form", "cloudevents"];
  /** Of what a service is given, what costs most: in JSON a control character, in a form anything beyond ASCII. */
  const costly = fc.string({
    unit: fc.constantFrom("\u0001", '"', "\\", "\u007f", "\u2028", "€", "\ud83d\ude00", "a", "\ud800"),
    maxLength: 2100,
  });

  test("stays under 20 kB at every maximum at once", () => {
    fc.assert(
      fc.property(costly, costly, costly, (reason, status, value) => {
        for (const format of formats)
          expect(Buffer.byteLength(renderPayload(largest(reason, status, value), format, null).body)).toBeLessThan(20_000);
      }),
      { numRuns: 30 },
    );
  });

  test.each(["\u0001", '"', "\u007f", "€", "\ud83d\ude00", "\ud800"])("stays under 20 kB when everything is %j", (character) => {
    const text = character.repeat(2048);
    for (const format of formats)
      expect(Buffer.byteLength(renderPayload(largest(text, text, text), format, null).body)).toBeLessThan(20_000);
    const oneValue = { ...callEvent(), data: { ...largest(text, text, text).data, metadata: { k: cutTo(2047, text) } } };
    for (const format of formats) expect(Buffer.byteLength(renderPayload(oneValue, format, null).body)).toBeLessThan(20_000);
  });

  test("only costly control characters of status and reason are changed; metadata never", () => {
    const { body } = renderPayload(callEvent({ reason: "a\u0000\u001bb\n\tc", metadata: { k: "a\u0000b" } }), "standard", null);
    expect(JSON.parse(body).data).toMatchObject({ reason: "a  b\n\tc", metadata: { k: "a\u0000b" } });
  });
});

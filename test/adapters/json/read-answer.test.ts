import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { observeBody, observeHead } from "../../../src/adapters/upstream/observe.ts";
import { detailsMaxBytes } from "../../../src/domain/calls/call-details.ts";
import { seen } from "../../harness/observations.ts";
import { jsonProtocol } from "../../harness/upstream/settings.ts";

const url = "https://api.example.com/v1/calls/{id}";
const map = { done: "success", dropped: "failure", talking: "calling", "7": "queued", true: "queued" };
const observe = (given: object, body: unknown, text = JSON.stringify(body)) => observeBody(text, jsonProtocol({ url, map, ...given }));

const reasonOf = (text: string) => observe({ status: "/s", reason: ["/a", "/b"] }, null, text);
const detailsOf = (text: string, details: object) => {
  const observation = observe({ status: "/s", details }, null, text);
  return observation.kind === "status" ? observation.details : observation;
};
const headersOf = (headers: Readonly<Record<string, string>>) => new Map(Object.entries(headers));

describe("the status", () => {
  test.each<[name: string, status: unknown, body: unknown, expected: object]>([
    ["is a word in any case", "/state", { state: " Done " }, seen("success", "Done")],
    ["is a number as it is written", "/state", { state: 7 }, seen("queued", "7")],
    ["is a boolean", "/state", { state: true }, seen("queued", "true")],
    ["is in no map", "/state", { state: "On-Hold" }, seen("on-hold")],
    ["is in no map, though it is one of ours", "/state", { state: "Success" }, seen("success", "", { isMapped: false })],
    ["is the first that is in the map", ["/a", "/b"], { a: "what", b: "talking" }, seen("calling", "talking")],
    ["is the first that leads to a value, if none is in the map", ["/a", "/b", "/c"], { a: null, b: "what", c: "else" }, seen("what")],
    ["is behind a blank one", ["/a", "/b"], { a: " ", b: "talking" }, seen("calling", "talking")],
    ["has a map of its own", [{ at: "/a", map: { done: "failure" } }, "/a"], { a: "done" }, seen("failure", "done")],
    ["ends tentatively behind the first pointer", ["/a", "/b"], { a: null, b: "done" }, seen("success", "done", { isTentative: true })],
    ["ends at the first pointer", ["/a", "/b"], { a: "dropped", b: "done" }, seen("failure", "dropped")],
  ])("%s", (_name, status, body, expected) => {
    expect(observe({ status }, body)).toEqual(expected);
  });

  test.each<[name: string, text: string]>([
    ["no JSON", "<html>"],
    ["a list", "[]"],
    ["an object", '{"state":{}}'],
    ["null", '{"state":null}'],
    ["nothing", "{}"],
    ["a word that is too long", JSON.stringify({ state: "x".repeat(129) })],
  ])("is missing: %s", (_name, text) => {
    expect(observe({ status: "/state" }, null, text)).toMatchObject({ kind: "failed", code: "not_json" });
  });
});

test("the reason is the first that leads to a value, as it is written", () => {
  expect(reasonOf('{"s":"done","a":null,"b":12345678901234567890.10}')).toEqual(seen("success", "12345678901234567890.10"));
  expect(reasonOf('{"s":"done","a":false,"b":"no"}')).toEqual(seen("success", "false"));
  expect(reasonOf('{"s":"done"}')).toEqual(seen("success", "done"));
  expect(reasonOf('{"s":"what"}')).toEqual(seen("what"));
});

describe("details", () => {
  test("are as they come, and null where there is none", () => {
    const details = { n: "/n", f: "/f", b: "/b", t: "/t", o: "/o", x: "/x" };
    expect(detailsOf('{"s":"done","n":1e3,"f":0.25,"b":false,"t":"","o":{}}', details)).toBe(
      '{"n":1000,"f":0.25,"b":false,"t":"","o":null,"x":null}',
    );
  });

  test("lose no digit of a number", () => {
    const text = '{"s":"done","a":9007199254740993,"b":0.1000000000000000055,"c":1e400,"d":9007199254740991,"e":-12.5e-3}';
    const details = { a: "/a", b: "/b", c: "/c", d: "/d", e: "/e" };
    expect(detailsOf(text, details)).toBe(
      '{"a":"9007199254740993","b":"0.1000000000000000055","c":"1e400","d":9007199254740991,"e":-0.0125}',
    );
  });

  test("that do not fit are null, and the others are kept", () => {
    const text = JSON.stringify({ s: "done", a: "a".repeat(600), b: "b".repeat(600), c: 7 });
    expect(JSON.parse(String(detailsOf(text, { a: "/a", b: "/b", c: "/c" })))).toEqual({ a: "a".repeat(600), b: null, c: 7 });
  });

  test("are at most 1 KiB together with any answer", () => {
    const value = fc.oneof(fc.string({ unit: "binary", maxLength: 1500, size: "max" }), fc.double(), fc.bigInt().map(Number), fc.boolean());
    const names = fc.uniqueArray(
      fc.stringMatching(/^[a-z0-9_]{1,40}$/).filter((name) => name !== "__proto__"),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(names, fc.array(value, { minLength: 8, maxLength: 8 }), (list, values) => {
        const body = Object.fromEntries(list.map((name, index) => [name, values[index]]));
        const details = Object.fromEntries(list.map((name) => [name, `/${name}`]));
        const observation = observe({ status: "/STATUS", details }, { ...body, STATUS: "done" });
        const stored = observation.kind === "status" ? (observation.details ?? "") : "";
        expect(Object.keys(JSON.parse(stored) as object).toSorted()).toEqual(list.toSorted());
        expect(Buffer.byteLength(stored)).toBeLessThanOrEqual(detailsMaxBytes);
        expect(stored.isWellFormed()).toBe(true);
      }),
    );
  });
});

test("an answer of any shape is an observation, and never worse than a failed poll", () => {
  const secret = "s3cr3t-token";
  const protocol = jsonProtocol({
    url,
    map,
    headers: { authorization: `Bearer ${secret}` },
    status: [{ at: "/a/b", map: { x: "failure" } }, "/a", "/0", ""],
    reason: ["/r", "/a/0", ""],
    details: { d: "/d", e: "/a/b/c" },
  });
  const json = fc.anything({ key: fc.constantFrom("a", "b", "r", "d", "0", "__proto__"), maxDepth: 4, withNullPrototype: true });
  const body = fc.oneof(
    json.map((value) => JSON.stringify(value) ?? ""),
    fc.string({ unit: "binary" }),
    fc.json(),
  );
  fc.assert(
    fc.property(body, fc.integer({ min: 100, max: 999 }), (text, statusCode) => {
      const observation = observeHead({ statusCode, headers: new Map() }, protocol.statusCodes, 0) ?? observeBody(text, protocol);
      expect(["status", "failed", "not_found", "rejected", "unauthorized", "rate_limited"]).toContain(observation.kind);
      expect(JSON.stringify(observation)).not.toContain(secret);
      if (observation.kind === "status") expect(observation.status).not.toBe("");
    }),
    { numRuns: 500 },
  );
});

test("an answer that is nested too deeply is a failed poll", () => {
  expect(observe({ status: "/a" }, null, "[".repeat(2_000_000))).toMatchObject({ kind: "failed" });
  expect(observe({ status: "/a" }, null, `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`)).toMatchObject({ kind: "failed" });
});

describe("the status codes", () => {
  const protocol = jsonProtocol({ url, map, status: "/s", not_found: [404, 422], rejected: [], unauthorized: [401, 407] });
  const observeCode = (statusCode: number, headers: Readonly<Record<string, string>> = {}) =>
    observeHead({ statusCode, headers: headersOf(headers) }, protocol.statusCodes, 1_000_000);

  test.each<[statusCode: number, expected: object]>([
    [404, { kind: "not_found" }],
    [422, { kind: "not_found" }],
    [400, { kind: "failed", code: "unexpected_status" }],
    [407, { kind: "unauthorized", statusCode: 401 }],
    [403, { kind: "unauthorized", statusCode: 403 }],
    [302, { kind: "failed", code: "redirect" }],
    [204, { kind: "failed", code: "unexpected_status" }],
  ])("%i", (statusCode, expected) => {
    expect(observeCode(statusCode)).toMatchObject(expected);
  });

  test.each<[name: string, statusCode: number, headers: Readonly<Record<string, string>>, retryAfterMs: number | null]>([
    ["403 with Retry-After", 403, { "retry-after": "7" }, 7000],
    ["403 with a Retry-After that cannot be read", 403, { "retry-after": "soon" }, null],
    ["403 with no requests left", 403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1060" }, 60_000],
    ["403 with no requests left, and a reset that is past", 403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" }, null],
    ["403 with a reset in a year", 403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "31536000" }, 86_400_000],
    ["429 with no requests left", 429, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1060" }, 60_000],
    ["429 with requests left", 429, { "x-ratelimit-remaining": "3", "x-ratelimit-reset": "1060" }, null],
  ])("%s is a rate limit", (_name, statusCode, headers, retryAfterMs) => {
    expect(observeCode(statusCode, headers)).toEqual({ kind: "rate_limited", retryAfterMs });
  });

  test("403 with requests left is none", () => {
    expect(observeCode(403, { "x-ratelimit-remaining": "3" })).toEqual({ kind: "unauthorized", statusCode: 403 });
  });
});

test("a detail is a number exactly if parsing it loses no digit", () => {
  const digits = fc.stringMatching(/^-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/);
  fc.assert(
    fc.property(digits, (number) => {
      const observation = observe({ status: "/s", details: { n: "/n" } }, null, `{"s":"done","n":${number}}`);
      const { n } = JSON.parse(observation.kind === "status" ? (observation.details ?? "") : "") as { readonly n: unknown };
      if (typeof n === "string") expect(n).toBe(number);
      else expect(BigInt(scaled(String(n)))).toBe(BigInt(scaled(number)));
    }),
  );
});

test("a double as it is usually written stays a number", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
      const observation = observe({ status: "/s", details: { n: "/n" } }, { s: "done", n: number });
      expect(observation).toMatchObject({ details: JSON.stringify({ n: number }) });
    }),
  );
});

/** The number times ten to the power of 1100, as whole digits. */
function scaled(number: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(number) ?? [];
  return `${sign}${whole}${fraction}${"0".repeat(1100 + Number(exponent) - fraction.length)}`;
}

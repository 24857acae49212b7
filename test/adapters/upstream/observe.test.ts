import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AnswerHead, AnswerHeaders } from "../../../src/adapters/http-client/answer-head.ts";
import { observeBody, observeHead, upstreamDateOf } from "../../../src/adapters/upstream/observe.ts";
import { reasonMaxBytes } from "../../../src/domain/calls/call.ts";
import { seen } from "../../harness/observations.ts";
import { sourceProtocol } from "../../harness/upstream/settings.ts";

const protocol = sourceProtocol();
const nowMs = Date.UTC(2026, 10, 24, 12);
const headersOf = (values: Readonly<Record<string, string | string[] | undefined>>): AnswerHeaders =>
  new Map(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
const observeAnswer = (head: AnswerHead, body: string) => observeHead(head, protocol.statusCodes, nowMs) ?? observeBody(body, protocol);
const observe = (body: string) => observeAnswer({ statusCode: 200, headers: new Map() }, body);
const observeStatusCode = (statusCode: number, headers = {}) => observeAnswer({ statusCode, headers: headersOf(headers) }, "<html>");

describe("the body of a 200", () => {
  test.each([
    ["legacy", '{"status":"queued","reason":"in line"}', "queued", "in line"],
    ["agents", '{"callSid":"OUT-1","status":"CALLING","reason":"ringing"}', "calling", "ringing"],
    ["mixed case and white space", '{"status":" Success\\n","reason":" as it is "}', "success", " as it is "],
    ["no reason", '{"status":"failure"}', "failure", ""],
    ["a null reason", '{"status":"failure","reason":null}', "failure", ""],
    ["a reason that is no text", '{"status":"failure","reason":{"code":7}}', "failure", ""],
    ["unknown keys", '{"data":[1],"status":"queued","__proto__":{"reason":"no"}}', "queued", ""],
    ["an unknown status", '{"status":"On_Hold"}', "on_hold", ""],
    ["a byte order mark", '\ufeff{"status":"queued"}', "queued", ""],
    ["half a surrogate pair and NUL", '{"status":"a\\ud800","reason":"b\\u0000c"}', "a\ufffd", "b\ufffdc"],
  ])("%s", (_name, body, status, reason) => {
    expect(observe(body)).toEqual(seen(status, reason));
  });

  test.each([
    ["nothing", ""],
    ["HTML", "<html>maintenance</html>"],
    ["broken off", '{"status":"succ'],
    ["null", "null"],
    ["a number", "7"],
    ["a list", '["success"]'],
    ["text", '"success"'],
    ["no status", '{"success":false,"error":"x","data":null}'],
    ["a status that is no text", '{"status":2}'],
    ["an empty status", '{"status":" "}'],
    ["a status too long to be one", JSON.stringify({ status: "x".repeat(129) })],
  ])("%s is no status", (_name, body) => {
    expect(observe(body)).toMatchObject({ kind: "failed", code: "not_json" });
  });

  test("any JSON yields a status or a failure, and neither throws nor quotes it", () => {
    const secret = "s3cr3t-token";
    fc.assert(
      fc.property(fc.anything({ values: [fc.string({ unit: "binary" }), fc.constant(secret)] }), (value) => {
        const observation = observe(JSON.stringify({ status: value, echo: secret }) ?? "");
        if (observation.kind === "failed") expect(observation.detail).not.toContain(secret);
        else expect(observation.kind).toBe("status");
      }),
    );
  });

  test("a reason is cut to whole characters and no shorter than it must be", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "ß", "€", "😀", "\ud800"), maxLength: 3000, size: "max" });
    fc.assert(
      fc.property(text, (sent) => {
        const observation = observe(JSON.stringify({ status: "failure", reason: sent }));
        if (observation.kind !== "status") throw new Error(observation.kind);
        const { reason } = observation;
        const whole = sent.toWellFormed();
        expect(whole.startsWith(reason)).toBe(true);
        expect(reason.isWellFormed()).toBe(true);
        expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(reasonMaxBytes);
        const [next] = whole.slice(reason.length);
        if (next !== undefined)
          expect(Buffer.byteLength(reason + String.fromCodePoint(whole.codePointAt(reason.length) ?? 0))).toBeGreaterThan(reasonMaxBytes);
      }),
    );
  });
});

describe("the head", () => {
  test.each([
    [400, { kind: "rejected" }],
    [401, { kind: "unauthorized", statusCode: 401 }],
    [403, { kind: "unauthorized", statusCode: 403 }],
    [404, { kind: "not_found" }],
    [204, { kind: "failed", code: "unexpected_status", detail: "answered 204" }],
    [304, { kind: "failed", code: "redirect", detail: "answered 304" }],
    [307, { kind: "failed", code: "redirect", detail: "answered 307" }],
    [410, { kind: "failed", code: "unexpected_status", detail: "answered 410" }],
    [500, { kind: "failed", code: "server_error", detail: "answered 500" }],
    [502, { kind: "failed", code: "server_error", detail: "answered 502" }],
    [999, { kind: "failed", code: "server_error", detail: "answered 999" }],
  ])("%i", (statusCode, observation) => {
    expect(observeStatusCode(statusCode)).toEqual(observation);
  });

  test.each([
    ["seconds", "7", 7000],
    ["a date", new Date(nowMs + 9000).toUTCString(), 9000],
    ["more than a day", "999999999", 86_400_000],
    ["sent twice", ["3", "5"], 3000],
    ["absent", undefined, null],
    ["zero", "0", 0],
    ["negative", "-5", null],
    ["the past", new Date(nowMs - 9000).toUTCString(), null],
    ["an epoch", "1795643237", null],
    ["eleven digits", "99999999999", null],
    ["words", "soon, Infinity", null],
  ])("429 and a Retry-After of %s", (_name, value, retryAfterMs) => {
    expect(observeStatusCode(429, { "retry-after": value })).toEqual({ kind: "rate_limited", retryAfterMs });
  });

  test("the upstream's date is read where there is one", () => {
    expect(upstreamDateOf(headersOf({ date: new Date(nowMs).toUTCString() }), nowMs)).toBe(nowMs);
    expect(upstreamDateOf(headersOf({ date: "1764000000" }), nowMs)).toBeNull();
    expect(upstreamDateOf(headersOf({}), nowMs)).toBeNull();
  });
});

import { describe, expect, test } from "vitest";
import type { AttemptErrorCode, AttemptOutcome } from "../../../src/domain/deliveries/attempt.ts";
import {
  classifyAttempt,
  classifyOutcome,
  describeConsequences,
  disablesEndpoint,
  isAccepted,
  listPausingStatuses,
} from "../../../src/domain/deliveries/response-class.ts";
import { answered } from "../../harness/deliveries.ts";

type FailureCode = Extract<AttemptOutcome, { kind: "failed" }>["code"];

function broken(code: FailureCode, permanent = false): AttemptOutcome {
  return { kind: "failed", code, detail: "", statusCode: null, permanent };
}

/** The contract's table of section 3: class, error code, scope and reason of the pause, whether the host is slowed. */
const rows: readonly [from: number, to: number, retryAfterMs: number | null, expected: readonly unknown[]][] = [
  [100, 199, null, ["failed", "status", null, null, false]],
  [200, 299, null, ["delivered", null, null, null, false]],
  [300, 399, null, ["failed", "redirect", null, null, false]],
  [400, 409, null, ["failed", "status", null, null, false]],
  [410, 410, null, ["gone", "gone", null, null, false]],
  [411, 428, null, ["failed", "status", null, null, false]],
  [429, 429, null, ["deferred", "status", "spreading", "rate_limited", true]],
  [429, 429, 1000, ["deferred", "status", "spreading", "rate_limited", true]],
  [430, 501, null, ["failed", "status", null, null, false]],
  [430, 501, 1000, ["failed", "status", null, null, false]],
  [502, 504, null, ["failed", "status", "both", "unavailable", true]],
  [502, 502, 1000, ["failed", "status", "both", "unavailable", true]],
  [503, 503, 1000, ["deferred", "status", "both", "unavailable", true]],
  [504, 504, 1000, ["failed", "status", "both", "unavailable", true]],
  [505, 999, null, ["failed", "status", null, null, false]],
];

const failureRows: readonly [code: FailureCode, slowsHost: boolean][] = [
  ["timeout", true],
  ["connect", true],
  ["reset", true],
  ["tls", true],
  ["dns", true],
  ["protocol", false],
  ["blocked_address", false],
];

describe("classifyOutcome", () => {
  test.each(rows)("statuses %i to %i with Retry-After %s ms", (from, to, retryAfterMs, expected) => {
    for (let statusCode = from; statusCode <= to; statusCode += 1) {
      const { kind, errorCode, pause, slowsHost } = classifyOutcome(answered(statusCode), retryAfterMs);
      expect([kind, errorCode, pause?.scope ?? null, pause?.reason ?? null, slowsHost], String(statusCode)).toEqual(expected);
    }
  });

  test.each(failureRows)("%s without a complete answer", (code, slowsHost) => {
    expect(classifyOutcome(broken(code), null)).toMatchObject({ kind: "failed", errorCode: code, pause: null, slowsHost });
    expect(classifyOutcome(broken(code, true), null)).toMatchObject({ kind: "refused", errorCode: code });
  });

  test("no row asks for a shorter or longer pause than Retry-After and the policy", () => {
    for (let statusCode = 100; statusCode <= 999; statusCode += 1)
      expect(classifyOutcome(answered(statusCode), 1000).pause?.minMs ?? 0).toBe(0);
  });

  test("a deferred answer always pauses the endpoint", () => {
    for (const retryAfterMs of [null, 1000])
      for (let statusCode = 100; statusCode <= 999; statusCode += 1) {
        const { kind, pause } = classifyOutcome(answered(statusCode), retryAfterMs);
        if (kind === "deferred") expect(pause?.scope, String(statusCode)).toMatch(/^(?:endpoint|both|spreading)$/);
      }
  });
});

test("only a complete 2xx is accepted, only a 410 disables the endpoint", () => {
  expect([199, 200, 299, 300].map((statusCode) => isAccepted(answered(statusCode)))).toEqual([false, true, true, false]);
  expect([409, 410, 411].map((statusCode) => disablesEndpoint(answered(statusCode)))).toEqual([false, true, false]);
  expect(isAccepted({ kind: "failed", code: "reset", detail: "", statusCode: 200, permanent: false })).toBe(false);
  expect(disablesEndpoint({ kind: "failed", code: "reset", detail: "", statusCode: 410, permanent: false })).toBe(false);
});

function error(code: AttemptErrorCode) {
  return { code, detail: "" };
}

test("a recorded attempt has the class of its outcome", () => {
  expect(classifyAttempt({ statusCode: 200, error: null }).kind).toBe("delivered");
  expect(classifyAttempt({ statusCode: 410, error: error("gone") }).kind).toBe("gone");
  expect(classifyAttempt({ statusCode: 301, error: error("redirect") }).errorCode).toBe("redirect");
  expect(classifyAttempt({ statusCode: 404, error: error("status") }).advice).toContain("path");
  expect(classifyAttempt({ statusCode: 200, error: error("timeout") }).errorCode).toBe("timeout");
});

test("every failed attempt comes with advice", () => {
  for (const [code] of failureRows) expect(classifyOutcome(broken(code), null).advice).toMatch(/\.$/);
  for (let statusCode = 100; statusCode <= 599; statusCode += 1)
    if (!isAccepted(answered(statusCode))) expect(classifyOutcome(answered(statusCode), null).advice).toMatch(/\.$/);
});

describe("texts that are made from the table", () => {
  test("consequences", () => {
    expect(describeConsequences(400, 499)).toBe(
      "410: the endpoint is disabled. 429: nothing is sent until `Retry-After`. Any other: retried by the schedule.",
    );
    expect(describeConsequences(500, 599)).toBe(
      "503 with `Retry-After`: nothing is sent until `Retry-After`. 502 to 504: retried by the schedule, after a pause of the endpoint. Any other: retried by the schedule.",
    );
  });

  test("statuses that pause", () => {
    expect(listPausingStatuses("rate_limited")).toBe("429");
    expect(listPausingStatuses("unavailable")).toBe("502, 503 or 504");
    expect(listPausingStatuses("host")).toBe("429, 502, 503 or 504");
  });
});

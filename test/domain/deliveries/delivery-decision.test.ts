import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AttemptErrorCode, AttemptOutcome } from "../../../src/domain/deliveries/attempt.ts";
import { decideAfterAttempt } from "../../../src/domain/deliveries/delivery-decision.ts";
import type { AttemptInput, AttemptResult } from "../../../src/domain/deliveries/delivery-decision.ts";
import type { DeliveryStatus } from "../../../src/domain/deliveries/delivery.ts";
import { scheduleSpanMs } from "../../../src/domain/deliveries/retry-policy.ts";
import { answered, attemptInput, fresh, healthy, policy, startMs } from "../../harness/deliveries.ts";

const nowMs = startMs + 100;
const dayMs = 86_400_000;
const spanMs = scheduleSpanMs(policy);
const notPaused = { pausedUntilMs: null, pausedSinceMs: null, consecutivePauses: 0 };

function decide(input: AttemptInput, jitter = 0, atMs = nowMs): AttemptResult {
  return decideAfterAttempt(input, policy, { nowMs: atMs, jitter });
}

function failed(code: Extract<AttemptOutcome, { kind: "failed" }>["code"], permanent = false): AttemptOutcome {
  return { kind: "failed", code, detail: `because of ${code}`, statusCode: null, permanent };
}

/** Returns the fourth attempt of a delivery first tried at `startMs`. It was answered 429 with a `Retry-After` of one day. */
function tried(startedAtMs: number): AttemptInput {
  return attemptInput(answered(429, "86400"), {
    delivery: { ...fresh, attemptCount: 3, firstAttemptAtMs: startMs },
    attempt: { number: 4, startedAtMs },
  });
}

function failing(consecutiveFailures: number, spannedMs: number) {
  return { health: { consecutiveFailures, failingSinceMs: nowMs - spannedMs } };
}

function decideTest(outcome: AttemptOutcome, over: Parameters<typeof attemptInput>[1] = {}): AttemptResult {
  return decide(attemptInput(outcome, { ...over, isTest: true, attempt: { mode: "manual" } }));
}

describe("what the receiver answers", () => {
  test.each([200, 201, 202, 204, 299])("%i is delivered", (statusCode) => {
    const result = decide(attemptInput(answered(statusCode)));
    expect(result.delivery).toEqual({
      ...fresh,
      status: "delivered",
      attemptCount: 1,
      nextAttemptAtMs: null,
      firstAttemptAtMs: startMs,
      settledAtMs: nowMs,
    });
    expect(result.attempt).toEqual({
      number: 1,
      startedAtMs: startMs,
      durationMs: 100,
      statusCode,
      error: null,
      responseExcerpt: `body of ${statusCode}`,
      decision: "delivered",
    });
    expect(result.endpoint.health).toEqual({ ...healthy, lastSuccessAtMs: nowMs });
    expect(result.host).toMatchObject(notPaused);
    expect(result.endpointChange).toBe("none");
  });

  test("410 disables the endpoint at once", () => {
    const result = decide(attemptInput(answered(410)));
    expect(result.delivery).toMatchObject({ status: "failed", settledAtMs: nowMs, nextAttemptAtMs: null });
    expect(result.attempt).toMatchObject({ decision: "gone", statusCode: 410, error: { code: "gone" } });
    expect(result.endpoint).toMatchObject({ state: "disabled", reason: "gone", sinceMs: nowMs });
    expect(result.endpointChange).toBe("disabled_gone");
  });

  test.each<[name: string, outcome: AttemptOutcome, pauseMs: number, reason: string]>([
    ["429", answered(429), 5000, "rate_limited"],
    ["429 with Retry-After", answered(429, "120"), 120_000, "rate_limited"],
    ["429 with a Retry-After shorter than the usual pause", answered(429, "1"), 5000, "rate_limited"],
    ["429 with an unreadable Retry-After", answered(429, "soon"), 5000, "rate_limited"],
    ["429 with Retry-After: 0", answered(429, "0"), 5000, "rate_limited"],
    ["429 with more than a day", answered(429, "999999999"), dayMs, "rate_limited"],
    ["503 with Retry-After", answered(503, "120"), 120_000, "unavailable"],
    ["503 with Retry-After: 0", answered(503, "0"), 5000, "unavailable"],
    ["503 with Retry-After: 000000000", answered(503, "000000000"), 5000, "unavailable"],
    ["429 with an epoch as Retry-After", answered(429, "1795643237"), 5000, "rate_limited"],
  ])("%s is deferred and spends no step", (_, outcome, pauseMs, reason) => {
    const pausesHost = reason === "unavailable";
    const result = decide(attemptInput(outcome), 1);
    expect(result.delivery).toEqual({
      ...fresh,
      attemptCount: 1,
      firstAttemptAtMs: startMs,
      nextAttemptAtMs: nowMs + pauseMs,
    });
    expect(result.attempt).toMatchObject({ decision: "deferred", error: { code: "status" } });
    expect(result.endpoint.health).toEqual({
      ...healthy,
      pausedUntilMs: nowMs + pauseMs,
      pausedSinceMs: nowMs,
      consecutivePauses: 1,
      pauseReason: reason,
    });
    expect(result.host).toMatchObject(
      pausesHost ? { pausedUntilMs: nowMs + pauseMs, pausedSinceMs: nowMs, consecutivePauses: 1 } : notPaused,
    );
  });

  test.each<[name: string, outcome: AttemptOutcome, pauseMs: number]>([
    ["502", answered(502), 5000],
    ["503", answered(503), 5000],
    ["504", answered(504), 5000],
    ["503 with Retry-After: -1", answered(503, "-1"), 5000],
    ["502 with Retry-After", answered(502, "3600"), 3_600_000],
    ["504 with a short Retry-After", answered(504, "2"), 5000],
  ])("%s spends a step and pauses", (_, outcome, pauseMs) => {
    const result = decide(attemptInput(outcome));
    expect(result.delivery).toMatchObject({ status: "pending", stepsSpent: 1, firstFailedAtMs: nowMs });
    expect(result.delivery.nextAttemptAtMs).toBe(nowMs + Math.max(5000, pauseMs));
    expect(result.attempt.decision).toBe("retry");
    expect(result.endpoint.health).toMatchObject({ consecutiveFailures: 1, failingSinceMs: nowMs, pauseReason: "unavailable" });
    expect(result.endpoint.health.pausedUntilMs).toBe(nowMs + pauseMs);
    expect(result.host).toMatchObject({ pausedUntilMs: nowMs + pauseMs, pausedSinceMs: nowMs, consecutivePauses: 1 });
  });

  test.each<[statusCode: number, code: AttemptErrorCode]>([
    [300, "redirect"],
    [302, "redirect"],
    [308, "redirect"],
    [304, "redirect"],
    [399, "redirect"],
    [101, "status"],
    [400, "status"],
    [401, "status"],
    [404, "status"],
    [409, "status"],
    [500, "status"],
    [501, "status"],
    [505, "status"],
    [599, "status"],
  ])("%i is a failed attempt (%s) and pauses nothing", (statusCode, code) => {
    const result = decide(attemptInput(answered(statusCode, "120")));
    expect(result.delivery).toEqual({
      ...fresh,
      lastRecovery: 0,
      attemptCount: 1,
      stepsSpent: 1,
      firstAttemptAtMs: startMs,
      firstFailedAtMs: nowMs,
      nextAttemptAtMs: nowMs + 5000,
    });
    expect(result.attempt.error?.code).toBe(code);
    expect(result.attempt.error?.detail).toContain(String(statusCode));
    expect(result.endpoint.health).toEqual({ ...healthy, consecutiveFailures: 1, failingSinceMs: nowMs });
    expect(result.host).toMatchObject(notPaused);
  });

  test.each(["timeout", "connect", "reset", "tls", "dns", "protocol", "blocked_address"] as const)("%s is a failed attempt", (code) => {
    const result = decide(attemptInput(failed(code)));
    expect(result.delivery).toMatchObject({ status: "pending", stepsSpent: 1, nextAttemptAtMs: nowMs + 5000 });
    expect(result.attempt).toMatchObject({
      decision: "retry",
      statusCode: null,
      responseExcerpt: null,
      error: { code, detail: `because of ${code}` },
    });
    expect(result.endpoint.health.consecutiveFailures).toBe(1);
  });

  test("a literal address the guard refuses fails for good", () => {
    const result = decide(attemptInput(failed("blocked_address", true)));
    expect(result.delivery).toMatchObject({ status: "failed", settledAtMs: nowMs, nextAttemptAtMs: null });
    expect(result.attempt).toMatchObject({ decision: "failed", error: { code: "blocked_address" } });
    expect(result.endpoint.health.consecutiveFailures).toBe(1);
  });

  test.each<[statusCode: number, retryAfter: string | null, detail: string]>([
    [429, "90", "answered 429 and asks to wait 90 s"],
    [503, null, "answered 503"],
    [500, "soon", "answered 500"],
    [302, null, "answered 302: redirects are never followed; register the final URL"],
    [410, null, "answered 410: wants no more webhooks"],
  ])("%i with Retry-After %j says: %s", (statusCode, retryAfter, detail) => {
    expect(decide(attemptInput(answered(statusCode, retryAfter))).attempt.error?.detail).toBe(detail);
  });

  test("the head of an answer that broke off is kept", () => {
    const result = decide(attemptInput({ kind: "failed", code: "reset", detail: "broken off", statusCode: 200, permanent: false }));
    expect(result.attempt).toMatchObject({ statusCode: 200, responseExcerpt: null, decision: "retry" });
  });
});

describe("the schedule", () => {
  test("every step has its delay, and the tenth failure exhausts it", () => {
    let delivery = fresh;
    const delaysMs: number[] = [];
    let atMs = startMs;
    for (let number = 1; delivery.status === "pending"; number++) {
      const result = decide(attemptInput(answered(500), { delivery, attempt: { number, startedAtMs: atMs } }), 0, atMs);
      delivery = result.delivery;
      if (delivery.nextAttemptAtMs !== null) delaysMs.push(delivery.nextAttemptAtMs - atMs);
      atMs = delivery.nextAttemptAtMs ?? atMs;
    }
    expect(delaysMs).toEqual(policy.scheduleMs.slice(1));
    expect(delivery).toEqual({
      ...fresh,
      status: "exhausted",
      attemptCount: 10,
      stepsSpent: 10,
      nextAttemptAtMs: null,
      firstAttemptAtMs: startMs,
      firstFailedAtMs: startMs,
      settledAtMs: startMs + spanMs,
    });
  });

  test("Retry-After of a failed attempt is a floor: jitter and step only come later", () => {
    const delivery = { ...fresh, stepsSpent: 2, attemptCount: 2 };
    const later = decide(attemptInput(answered(502, "60"), { delivery }));
    expect(later.delivery.nextAttemptAtMs).toBe(nowMs + 1_800_000);
    const sooner = decide(attemptInput(answered(502, "7200"), { delivery }), 1);
    expect(sooner.delivery.nextAttemptAtMs).toBe(nowMs + 7_200_000);
  });

  test("an attempt by the last step that fails pauses its endpoint all the same", () => {
    const result = decide(attemptInput(answered(503), { delivery: { ...fresh, stepsSpent: 9, attemptCount: 9, firstFailedAtMs: 7 } }));
    expect(result.delivery).toMatchObject({ status: "exhausted", stepsSpent: 10, firstFailedAtMs: 7, nextAttemptAtMs: null });
    expect(result.attempt.decision).toBe("exhausted");
    expect(result.endpoint.health.pausedUntilMs).toBe(nowMs + 5000);
  });
});

describe("deferrals and the schedule's span", () => {
  test("within the span a pause that ends after it is still followed by an attempt", () => {
    const lastMs = startMs + spanMs;
    const result = decide(tried(lastMs), 0, lastMs + 100);
    expect(result.delivery).toMatchObject({ status: "pending", stepsSpent: 0, nextAttemptAtMs: lastMs + 100 + dayMs });
    expect(result.attempt.decision).toBe("deferred");
  });

  test("later than the span it exhausts the delivery, and the endpoint pauses", () => {
    const lateMs = startMs + spanMs + 1;
    const result = decide(tried(lateMs), 0, lateMs + 100);
    expect(result.delivery).toMatchObject({
      status: "exhausted",
      attemptCount: 4,
      stepsSpent: 0,
      nextAttemptAtMs: null,
      firstAttemptAtMs: startMs,
    });
    expect(result.attempt.decision).toBe("exhausted");
    expect(result.endpoint.health.pausedUntilMs).toBe(lateMs + 100 + dayMs);
  });

  test("the attempt after the span may still be delivered, or fail and go on by its steps", () => {
    const lateMs = startMs + spanMs + dayMs;
    const over = { delivery: { ...fresh, attemptCount: 3, firstAttemptAtMs: startMs }, attempt: { startedAtMs: lateMs } };
    expect(decide(attemptInput(answered(200), over), 0, lateMs).delivery.status).toBe("delivered");
    expect(decide(attemptInput(answered(500), over), 0, lateMs).delivery).toMatchObject({ status: "pending", stepsSpent: 1 });
  });

  test("a schedule of one attempt: its first deferral is followed by one more, the second exhausts it", () => {
    const once = { ...policy, scheduleMs: [0] };
    const first = decideAfterAttempt(attemptInput(answered(429)), once, { nowMs, jitter: 0 });
    expect(first.delivery).toMatchObject({ status: "pending", nextAttemptAtMs: nowMs + 5000 });
    const startedAtMs = nowMs + 5000;
    const second = attemptInput(answered(429), { delivery: first.delivery, attempt: { number: 2, startedAtMs } });
    expect(decideAfterAttempt(second, once, { nowMs: startedAtMs, jitter: 0 }).delivery.status).toBe("exhausted");
  });

  test("deferrals never start the order hold", () => {
    expect(decide(attemptInput(answered(429))).delivery.firstFailedAtMs).toBeNull();
  });
});

function after429(host: AttemptInput["host"], endpointId: string, atMs: number, over: Partial<typeof policy> = {}): AttemptResult {
  return decideAfterAttempt({ ...attemptInput(answered(429), { endpointId }), host }, { ...policy, ...over }, { nowMs: atMs, jitter: 0 });
}

describe("a 429", () => {
  const { host: freshHost } = attemptInput(answered(429));

  test("pauses its endpoint alone, however often that answers so", () => {
    let host = freshHost;
    for (let n = 0; n < 5; n++) {
      const result = after429(host, "ep_1", startMs + n * 10_000);
      ({ host } = result);
      expect(result.endpoint.health.pausedUntilMs).toBe(startMs + n * 10_000 + 5000);
      expect(host.pausedUntilMs).toBeNull();
    }
  });

  test.each([
    ["within a minute", 59_999, true],
    ["a minute later", 60_000, false],
  ])("of another URL of the host %s decides whether the host pauses too", (_name, laterMs, pauses) => {
    const { host } = after429(freshHost, "ep_1", startMs);
    const atMs = startMs + laterMs;
    expect(after429(host, "ep_2", atMs).host.pausedUntilMs).toBe(pauses ? atMs + 5000 : null);
  });

  test("counts the newest of another URL, also when the same one answered so in between", () => {
    const first = after429(freshHost, "ep_2", startMs).host;
    const second = after429(first, "ep_1", startMs + 70_000).host;
    const third = after429(second, "ep_2", startMs + 80_000).host;
    const again = { ...third, pausedUntilMs: null, pausedSinceMs: null };
    expect(after429(again, "ep_2", startMs + 129_999).host.pausedUntilMs).not.toBeNull();
    expect(after429(again, "ep_2", startMs + 130_000).host.pausedUntilMs).toBeNull();
  });

  test("pauses the host at once if that has a rate limit of its own", () => {
    expect(after429(freshHost, "ep_1", startMs, { rateLimitedHosts: ["crm.example.com"] }).host.pausedUntilMs).toBe(startMs + 5000);
    expect(after429(freshHost, "ep_1", startMs, { rateLimitedHosts: ["example.com"] }).host.pausedUntilMs).toBeNull();
  });

  test.each([
    ["1", 5000],
    ["5", 5000],
    ["30", 30_000],
    ["1795643237", 5000],
  ])("with Retry-After %s pauses for %d ms: never less than 5 s", (retryAfter, pauseMs) => {
    expect(decide(attemptInput(answered(429, retryAfter))).endpoint.health.pausedUntilMs).toBe(nowMs + pauseMs);
  });

  test("doubles its pause regardless of Retry-After, up to 5 min", () => {
    let { endpoint } = attemptInput(answered(429));
    const pausesMs: number[] = [];
    let atMs = startMs;
    for (let n = 0; n < 8; n++) {
      ({ endpoint } = decideAfterAttempt({ ...attemptInput(answered(429, "1")), endpoint }, policy, { nowMs: atMs, jitter: 0 }));
      pausesMs.push((endpoint.health.pausedUntilMs ?? 0) - atMs);
      atMs = endpoint.health.pausedUntilMs ?? 0;
    }
    expect(pausesMs).toEqual([5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
  });
});

describe("pauses", () => {
  test("without Retry-After they double from 5 s to 5 min while they continue", () => {
    let { endpoint, host } = attemptInput(answered(429));
    const pausesMs: number[] = [];
    let atMs = startMs;
    for (let n = 0; n < 9; n++) {
      const result = decideAfterAttempt({ ...attemptInput(answered(502)), endpoint, host }, policy, { nowMs: atMs, jitter: 0 });
      ({ endpoint, host } = result);
      expect(host).toMatchObject({ pausedUntilMs: endpoint.health.pausedUntilMs, pausedSinceMs: atMs, consecutivePauses: n + 1 });
      pausesMs.push((host.pausedUntilMs ?? 0) - atMs);
      atMs = host.pausedUntilMs ?? 0;
    }
    expect(pausesMs).toEqual([5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]);
  });

  const running = { pausedUntilMs: nowMs + 60_000, pausedSinceMs: nowMs - 1000, consecutivePauses: 2 };
  const ending = { ...running, pausedUntilMs: nowMs + 4960 };
  const over = { pausedUntilMs: nowMs, pausedSinceMs: nowMs - 1000, consecutivePauses: 2 };
  const pausedBoth = (pause: typeof running) => ({ health: { ...pause, pauseReason: "rate_limited" as const }, host: pause });

  test.each<[name: string, outcome: AttemptOutcome, before: typeof running, after: Omit<AttemptInput["host"], "rateLimits">]>([
    ["a 2xx after it resets everything", answered(200), over, { pausedUntilMs: null, pausedSinceMs: null, consecutivePauses: 0 }],
    ["a 2xx that was on the wire does not end it early", answered(200), running, running],
    ["a 502 that was in flight does not double it", answered(502), running, running],
    ["a shorter Retry-After does not shorten it", answered(503, "10"), running, running],
    ["a longer Retry-After makes it longer", answered(503, "90"), running, { ...running, pausedUntilMs: nowMs + 90_000 }],
    ["a 503 during its last 5 s makes it last 5 s from there", answered(503), ending, { ...running, pausedUntilMs: nowMs + 5000 }],
    ["a Retry-After of 1 s then counts as 5 s", answered(503, "1"), ending, { ...running, pausedUntilMs: nowMs + 5000 }],
    ["a 2xx then leaves it", answered(200), ending, ending],
    ["a 502 after it continues it", answered(502), over, { pausedUntilMs: nowMs + 20_000, pausedSinceMs: nowMs, consecutivePauses: 3 }],
    ["a 404 leaves it", answered(404), over, over],
    ["a timeout leaves it", failed("timeout"), running, running],
  ])("%s", (_, outcome, before, after) => {
    const result = decide(attemptInput(outcome, pausedBoth(before)));
    expect(result.host).toMatchObject(after);
    expect(result.endpoint.health).toMatchObject(after);
    expect(result.endpoint.health.pauseReason === null).toBe(after.pausedUntilMs === null);
  });

  test("a delivery waits for the longer pause of endpoint and host", () => {
    const host = { pausedUntilMs: nowMs + 900_000, consecutivePauses: 1 };
    const result = decide(attemptInput(answered(429, "60"), { host }));
    expect(result.endpoint.health.pausedUntilMs).toBe(nowMs + 60_000);
    expect(result.delivery.nextAttemptAtMs).toBe(nowMs + 900_000);
    const health = { pausedUntilMs: nowMs + 800_000, consecutivePauses: 1 };
    expect(decide(attemptInput(answered(429, "60"), { health })).delivery.nextAttemptAtMs).toBe(nowMs + 800_000);
  });
});

describe("disabling a failing endpoint", () => {
  const fiveDaysMs = policy.disableAfterMs;

  test.each<[name: string, failures: number, spannedMs: number, outcome: AttemptOutcome, change: AttemptResult["endpointChange"]]>([
    ["ten failures over five days", 9, fiveDaysMs, answered(500), "disabled_failing"],
    ["by a 502", 9, fiveDaysMs, answered(502), "disabled_failing"],
    ["by a refused address", 9, fiveDaysMs, failed("blocked_address", true), "disabled_failing"],
    ["not before the tenth", 8, fiveDaysMs, answered(500), "none"],
    ["not within five days", 500, fiveDaysMs - 1, answered(500), "none"],
    ["not by a deferral", 9, fiveDaysMs, answered(429), "none"],
    ["not by a success", 9, fiveDaysMs, answered(200), "none"],
  ])("%s", (_, failures, spannedMs, outcome, change) => {
    const result = decide(attemptInput(outcome, failing(failures, spannedMs)));
    expect(result.endpointChange).toBe(change);
    expect(result.endpoint).toMatchObject(
      change === "none" ? { state: "enabled", sinceMs: null } : { state: "disabled", reason: "failing", sinceMs: nowMs },
    );
  });

  test("the failed delivery stays pending on its schedule", () => {
    expect(decide(attemptInput(answered(500), failing(9, fiveDaysMs))).delivery).toMatchObject({ status: "pending", stepsSpent: 1 });
  });

  test("a success ends the run of failures", () => {
    const result = decide(attemptInput(answered(200), failing(500, fiveDaysMs)));
    expect(result.endpoint.health).toEqual({ ...healthy, lastSuccessAtMs: nowMs, recoveries: 1, recoveredAtMs: nowMs });
  });

  // A deferral is no failure, and it delivers nothing.
  test.each([
    ["429", answered(429)],
    ["429 with Retry-After", answered(429, "60")],
    ["503 with Retry-After", answered(503, "60")],
  ])("%s neither ends nor lengthens it", (_, deferral) => {
    const result = decide(attemptInput(deferral, failing(4, 1000)));
    expect(result.endpoint.health).toMatchObject({ consecutiveFailures: 4, failingSinceMs: nowMs - 1000 });
  });

  test("deferrals alone disable nothing, and failures around them do", () => {
    let { endpoint } = attemptInput(answered(429));
    const answers = (outcome: AttemptOutcome, atMs: number) => {
      const result = decideAfterAttempt({ ...attemptInput(outcome), endpoint }, policy, { nowMs: atMs, jitter: 0 });
      ({ endpoint } = result);
      return result.endpointChange;
    };
    for (let day = 0; day <= 20; day++) expect(answers(answered(503, "60"), startMs + day * dayMs)).toBe("none");
    expect(endpoint.health).toMatchObject({ consecutiveFailures: 0, failingSinceMs: null });
    for (let day = 0; day < 9; day++) {
      expect(answers(answered(500), startMs + (30 + day) * dayMs)).toBe("none");
      expect(answers(answered(429, "60"), startMs + (30 + day) * dayMs + 1000)).toBe("none");
    }
    expect(answers(answered(500), startMs + 39 * dayMs)).toBe("disabled_failing");
  });

  test.each<[before: AttemptInput["endpoint"]["reason"], statusCode: number, change: AttemptResult["endpointChange"]]>([
    ["client", 500, "none"],
    ["failing", 500, "none"],
    ["gone", 500, "none"],
    ["gone", 410, "none"],
    ["client", 410, "disabled_gone"],
    ["failing", 410, "disabled_gone"],
  ])("disabled already (%s), an attempt from before answers %i: %s", (reason, statusCode, change) => {
    const endpoint = { state: "disabled", reason, sinceMs: 5 } as const;
    const result = decide(attemptInput(answered(statusCode), { endpoint, ...failing(50, fiveDaysMs) }));
    expect(result.endpointChange).toBe(change);
    expect(result.endpoint).toMatchObject(change === "none" ? endpoint : { state: "disabled", reason: "gone", sinceMs: nowMs });
  });
});

describe("a manual attempt", () => {
  const pending = { ...fresh, attemptCount: 4, stepsSpent: 4, nextAttemptAtMs: nowMs + dayMs, firstAttemptAtMs: 1, firstFailedAtMs: 2 };
  const manual = { mode: "manual", number: 5 } as const;

  test.each<[name: string, outcome: AttemptOutcome, decision: string]>([
    ["500", answered(500), "retry"],
    ["302", answered(302), "retry"],
    ["502", answered(502), "retry"],
    ["429", answered(429), "deferred"],
    ["a timeout", failed("timeout"), "retry"],
    ["a refused address", failed("blocked_address", true), "retry"],
  ])("that fails with %s leaves the schedule as it was", (_, outcome, decision) => {
    const result = decide(attemptInput(outcome, { delivery: pending, attempt: manual }));
    expect(result.delivery).toEqual({ ...pending, attemptCount: 5 });
    expect(result.attempt).toMatchObject({ number: 5, decision });
  });

  test("that fails before any other starts neither span nor hold", () => {
    const result = decide(attemptInput(answered(500), { attempt: manual }));
    expect(result.delivery).toEqual({ ...fresh, attemptCount: 1 });
  });

  test("counts for the endpoint's health", () => {
    expect(decide(attemptInput(answered(500), { attempt: manual })).endpoint.health.consecutiveFailures).toBe(1);
  });

  test.each<[before: DeliveryStatus, after: DeliveryStatus]>([
    ["pending", "delivered"],
    ["exhausted", "delivered"],
    ["failed", "delivered"],
    ["expired", "delivered"],
    ["delivered", "delivered"],
    ["canceled", "canceled"],
    ["superseded", "superseded"],
  ])("that succeeds makes of %s %s", (before, after) => {
    const settled = before === "pending" ? pending : { ...pending, status: before, nextAttemptAtMs: null, settledAtMs: 9 };
    const result = decide(attemptInput(answered(200), { delivery: settled, attempt: manual }));
    expect(result.delivery).toMatchObject({
      status: after,
      attemptCount: 5,
      nextAttemptAtMs: null,
      settledAtMs: before === after ? 9 : nowMs,
    });
    expect(result.attempt.decision).toBe("delivered");
  });

  test("that fails for an exhausted delivery is followed by nothing", () => {
    const exhausted = { ...pending, status: "exhausted", nextAttemptAtMs: null, settledAtMs: 9 } as const;
    for (const outcome of [answered(500), answered(429), failed("dns")]) {
      const result = decide(attemptInput(outcome, { delivery: exhausted, attempt: manual }));
      expect(result.delivery).toEqual({ ...exhausted, attemptCount: 5 });
      expect(result.attempt.decision).toBe("failed");
    }
  });

  test("410 to it disables the endpoint", () => {
    const result = decide(attemptInput(answered(410), { delivery: pending, attempt: manual }));
    expect(result.endpointChange).toBe("disabled_gone");
    expect(result.delivery.status).toBe("failed");
  });
});

describe("an attempt on the wire while its delivery was settled", () => {
  const outcomes = [
    answered(200),
    answered(410),
    answered(429),
    answered(500),
    answered(502),
    failed("timeout"),
    failed("blocked_address", true),
  ];

  test.each(["superseded", "canceled", "expired", "exhausted", "failed", "delivered"] as const)("%s stays", (status) => {
    const delivery = { ...fresh, status, nextAttemptAtMs: null, settledAtMs: 9 };
    for (const outcome of outcomes) {
      const result = decide(attemptInput(outcome, { delivery }));
      expect(result.delivery).toEqual({ ...delivery, attemptCount: 1 });
      expect(["delivered", "gone", "failed"]).toContain(result.attempt.decision);
    }
  });

  test("counts for the endpoint", () => {
    const delivery = { ...fresh, status: "superseded" } as const;
    expect(decide(attemptInput(answered(200), { delivery, health: { consecutiveFailures: 3 } })).endpoint.health.consecutiveFailures).toBe(
      0,
    );
    expect(decide(attemptInput(answered(410), { delivery })).endpointChange).toBe("disabled_gone");
  });
});

describe("a test event", () => {
  test.each<[name: string, outcome: AttemptOutcome, status: DeliveryStatus]>([
    ["200", answered(200), "delivered"],
    ["302", answered(302), "failed"],
    ["404", answered(404), "failed"],
    ["410", answered(410), "failed"],
    ["429", answered(429), "failed"],
    ["a timeout", failed("timeout"), "failed"],
  ])("%s settles it at once and counts neither for nor against disabling", (_, outcome, status) => {
    const health = { consecutiveFailures: 9, failingSinceMs: nowMs - policy.disableAfterMs };
    const result = decideTest(outcome, { health });
    expect(result.delivery).toMatchObject({ status, attemptCount: 1, settledAtMs: nowMs, nextAttemptAtMs: null });
    expect(result.attempt.decision).toBe(status);
    expect(result.endpoint).toMatchObject({ state: "enabled", health });
    expect(result.endpointChange).toBe("none");
  });

  test("a 429 to it pauses as any other does", () => {
    expect(decideTest(answered(429, "30")).endpoint.health).toMatchObject({ pausedUntilMs: nowMs + 30_000, pauseReason: "rate_limited" });
  });

  test("canceled while on the wire it stays canceled", () => {
    expect(decideTest(answered(200), { delivery: { status: "canceled", settledAtMs: 9 } }).delivery).toMatchObject({
      status: "canceled",
      settledAtMs: 9,
    });
  });
});

describe("after any sequence of answers", () => {
  const outcome = fc.oneof(
    fc
      .record({
        statusCode: fc.oneof(fc.integer({ min: 100, max: 599 }), fc.constantFrom(200, 410, 429, 502, 503, 504)),
        retryAfter: fc.option(fc.oneof(fc.nat().map(String), fc.string({ maxLength: 70 }))),
      })
      .map(({ statusCode, retryAfter }) => answered(statusCode, retryAfter)),
    fc
      .record({ code: fc.constantFrom("timeout", "dns", "blocked_address"), permanent: fc.boolean() })
      .map(({ code, permanent }) => failed(code as "timeout", permanent)),
  );
  const jitter = fc.double({ min: 0, max: 1, noNaN: true });

  test("a delivery is settled or has a next attempt in the future, and ends within its schedule", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(outcome, jitter), { maxLength: 60 }), (steps) => {
        let { delivery, endpoint, host } = attemptInput(answered(200));
        let atMs = startMs;
        let number = 0;
        for (const [what, by] of steps) {
          if (delivery.status !== "pending") break;
          number += 1;
          const input = { ...attemptInput(what, { delivery, attempt: { number, startedAtMs: atMs } }), endpoint, host };
          const result = decide(input, by, atMs + 50);
          expect(result.delivery.attemptCount).toBe(number);
          const { decision } = result.attempt;
          if (decision === "retry" || decision === "deferred")
            expect(result.delivery.stepsSpent - delivery.stepsSpent).toBe(decision === "retry" ? 1 : 0);
          expect(result.delivery.stepsSpent).toBeLessThanOrEqual(policy.scheduleMs.length);
          expect(result.attempt.error === null).toBe(decision === "delivered");
          expect(result.delivery.settledAtMs !== null).toBe(result.delivery.status !== "pending");
          const nextMs = result.delivery.nextAttemptAtMs;
          expect(nextMs === null).toBe(result.delivery.status !== "pending");
          if (nextMs !== null) {
            expect(nextMs).toBeGreaterThan(atMs + 50);
            const { pausedUntilMs } = result.endpoint.health;
            if (decision === "deferred") expect(nextMs).toBeGreaterThanOrEqual(pausedUntilMs ?? Infinity);
          }
          ({ delivery, endpoint, host } = result);
          atMs = nextMs ?? atMs;
        }
      }),
    );
  });

  test("nothing it is given is changed", () => {
    fc.assert(
      fc.property(outcome, jitter, fc.boolean(), (what, by, isTest) => {
        const input = attemptInput(what, { isTest });
        const before = structuredClone(input);
        decide(input, by);
        expect(input).toEqual(before);
      }),
    );
  });
});

describe("reports of an endpoint's health", () => {
  const long = { consecutiveFailures: 2, failingSinceMs: startMs - policy.failingAfterMs };
  const reported = { ...long, isReportedFailing: true };
  test.each<[string, AttemptOutcome, Parameters<typeof attemptInput>[1], string]>([
    ["nothing but failures for long", answered(500), { health: long }, "failing"],
    ["a failure too early", answered(500), { health: { ...long, failingSinceMs: startMs - policy.failingAfterMs + 1 } }, "none"],
    ["the second failure", answered(500), { health: { ...long, consecutiveFailures: 1 } }, "none"],
    ["a failure that was reported before", answered(500), { health: reported }, "none"],
    ["a deferral", answered(429), { health: { ...long, consecutiveFailures: 1 } }, "none"],
    ["a 410", answered(410), { health: long }, "none"],
    ["a success after a report", answered(200), { health: reported }, "recovered"],
    ["a success without a report", answered(200), { health: long }, "none"],
    ["a failure of an operational event", answered(500), { health: long, isReported: false }, "none"],
    ["a success of an operational event", answered(200), { health: reported, isReported: false }, "none"],
    ["a failed test", answered(500), { health: long, isTest: true }, "none"],
  ])("%s", (_name, outcome, over, report) => {
    const result = decideAfterAttempt(attemptInput(outcome, over), policy, { nowMs: startMs, jitter: 0 });
    expect(result.healthReport).toBe(report);
    const before = over?.health?.isReportedFailing === true;
    expect(result.endpoint.health.isReportedFailing).toBe(report === "none" ? before : report === "failing");
  });
});

import { describe, expect, test } from "vitest";
import type { CallStatus, Observation } from "../../../src/domain/calls/call.ts";
import { decideAfterPoll, resetRejections, freshPollMemory, minIntervalForAge } from "../../../src/domain/calls/poll-decision.ts";
import type { PollDecision, PollPolicy } from "../../../src/domain/calls/poll-decision.ts";
import { seen as observed } from "../../harness/observations.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const startMs = Date.UTC(2026, 10, 24, 12);

const policy: PollPolicy = {
  notFoundGraceMs: 30 * second,
  lostAfterMs: 5 * minute,
  statusRetentionMs: 2 * hour,
  backoffMinMs: 2 * second,
  backoffMaxMs: minute,
  corroborationMs: 10 * minute,
  uncorroboratedEndMs: 10 * minute,
};

const status = (text: string, reason = ""): Observation => observed(text, reason);
const notFound: Observation = { kind: "not_found" };
const rejected: Observation = { kind: "rejected" };
const failed: Observation = { kind: "failed", code: "timeout", detail: "" };
const unauthorized: Observation = { kind: "unauthorized", statusCode: 401 };
const rateLimited: Observation = { kind: "rate_limited", retryAfterMs: 1000 };

const neverSeen: CallStatus = { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null };
const seen = (text: string, reason = ""): CallStatus => ({
  status: text,
  reason,
  details: null,
  terminal: text === "success" || text === "failure",
  observedAtMs: startMs - 5 * second,
  lastGoodPollAtMs: startMs - 2 * second,
});

/** One call, polled again and again; its status follows what was decided as the store would write it. */
class Life {
  known: CallStatus;
  memory = freshPollMemory;
  nowMs = startMs;
  /** A witness is always at hand unless a test takes it away. */
  corroborationAgeMs: number | null = 0;
  deadlineAtMs = startMs + 24 * hour;
  youngestWatchAtMs = startMs;
  jitter = 1;
  readonly policy: PollPolicy;

  constructor(known: CallStatus, changedPolicy: Partial<PollPolicy> = {}) {
    this.known = known;
    this.policy = { ...policy, ...changedPolicy };
  }

  poll(observation: Observation, afterMs = 0): PollDecision {
    this.nowMs += afterMs;
    const decision = decideAfterPoll(
      {
        status: this.known,
        memory: this.memory,
        oldestWatchAtMs: startMs,
        youngestWatchAtMs: this.youngestWatchAtMs,
        earliestDeadlineAtMs: this.deadlineAtMs,
      },
      observation,
      {
        nowMs: this.nowMs,
        corroboratedAtMs: this.corroborationAgeMs === null ? null : this.nowMs - this.corroborationAgeMs,
        jitter: this.jitter,
      },
      this.policy,
    );
    this.memory = decision.memory;
    this.known = { ...this.known, lastGoodPollAtMs: decision.lastGoodPollAtMs };
    for (const change of decision.changes) {
      if (change.kind === "status") this.known = { ...this.known, ...change, observedAtMs: this.nowMs };
      if (change.kind === "note") this.known = { ...this.known, reason: change.reason, details: change.details };
    }
    return decision;
  }
}

const interval = { kind: "interval" };
const none = { kind: "none" };
const delay = (delayMs: number) => ({ kind: "delay", delayMs });
const end = (endReason: string) => [{ kind: "end", endReason, spares: null }];

describe("a status", () => {
  test("that is the same writes nothing and is confirmed", () => {
    const decision = new Life(seen("calling", "ringing")).poll(status("calling", "ringing"));
    expect(decision).toEqual({
      memory: freshPollMemory,
      lastGoodPollAtMs: startMs,
      confirmed: true,
      changes: [],
      next: interval,
      endsUncorroborated: false,
      isRegression: false,
    });
    expect(decision.memory).toBe(freshPollMemory);
  });

  test("that is the same for another reason is noted", () => {
    const { changes, confirmed } = new Life(seen("calling", "ringing")).poll(status("calling", "answered"));
    expect(changes).toEqual([{ kind: "note", reason: "answered", details: null }]);
    expect(confirmed).toBe(true);
  });

  test.each([
    [neverSeen, "queued", false, null],
    [neverSeen, "success", true, null],
    [seen("queued"), "calling", false, startMs - 2 * second],
    [seen("queued"), "success", true, startMs - 2 * second],
    [seen("calling"), "failure", true, startMs - 2 * second],
    [seen("calling"), "on_hold", false, startMs - 2 * second],
    [seen("on_hold"), "queued", false, startMs - 2 * second],
    [seen("on_hold"), "failure", true, startMs - 2 * second],
  ])("another one is a change: $0.status to %s", (known, text, terminal, observedAfterMs) => {
    const decision = new Life(known).poll(status(text, "why"), second);
    expect(decision.changes).toEqual([{ kind: "status", status: text, reason: "why", details: null, terminal, observedAfterMs }]);
    expect(decision).toMatchObject({
      next: terminal ? none : interval,
      confirmed: true,
      lastGoodPollAtMs: startMs + second,
      isRegression: false,
    });
  });

  test.each(["success", "failure"])("%s never changes", (text) => {
    const life = new Life(seen(text));
    for (const said of [status("queued"), status("queued"), status("failure", "x"), status("success"), notFound, rejected, failed])
      expect(life.poll(said, 30 * hour)).toMatchObject({
        changes: [],
        next: none,
        confirmed: false,
        lastGoodPollAtMs: startMs - 2 * second,
      });
  });
});

describe("a status that goes backwards", () => {
  test("is believed the second time in a row, as an anomaly", () => {
    const life = new Life(seen("calling"));
    expect(life.poll(status("queued"), second)).toMatchObject({ changes: [], next: interval, isRegression: false });
    const { changes, isRegression } = life.poll(status("queued", "again"), second);
    // The poll that was not believed did not confirm `calling` either.
    expect(changes).toEqual([
      { kind: "status", status: "queued", reason: "again", details: null, terminal: false, observedAfterMs: startMs - 2 * second },
    ]);
    expect(isRegression).toBe(true);
  });

  test("once does not confirm the status known", () => {
    expect(new Life(seen("calling")).poll(status("queued"))).toMatchObject({ confirmed: false, lastGoodPollAtMs: startMs - 2 * second });
  });

  test.each([
    ["the status known", status("calling")],
    ["a 404", notFound],
    ["a 400", rejected],
  ])("is not believed with %s in between", (_name, between) => {
    const life = new Life(seen("calling"));
    for (const said of [status("queued"), between, status("queued")]) expect(life.poll(said, second).changes).toEqual([]);
  });

  test.each([failed, unauthorized, rateLimited])("is believed with $kind in between, which says nothing of the call", (between) => {
    const life = new Life(seen("calling"));
    for (const said of [status("queued"), between]) expect(life.poll(said, second).changes).toEqual([]);
    expect(life.poll(status("queued"), second).changes).toMatchObject([{ kind: "status", status: "queued" }]);
  });
});

describe("an end that may be followed by its outcome", () => {
  const ended = observed("failure", "ended", { isTentative: true });

  test("is believed the second time in a row, with what the second says", () => {
    const life = new Life(seen("calling"));
    expect(life.poll(ended, second)).toMatchObject({ changes: [], next: interval, confirmed: false });
    expect(life.poll(status("success", "customer-ended-call"), second).changes).toMatchObject([
      { kind: "status", status: "success", reason: "customer-ended-call", terminal: true },
    ]);
  });

  test("is believed the second time, if no outcome follows", () => {
    const life = new Life(seen("calling"));
    expect(life.poll(ended, second).changes).toEqual([]);
    expect(life.poll(ended, second)).toMatchObject({ changes: [{ status: "failure", reason: "ended" }], next: none });
  });

  test.each([
    ["another status", status("calling")],
    ["a 404", notFound],
  ])("is not believed with %s in between", (_name, between) => {
    const life = new Life(seen("calling"));
    for (const said of [ended, between, ended]) expect(life.poll(said, second).changes).toEqual([]);
  });

  test("is believed with a failure in between, which says nothing of the call", () => {
    const life = new Life(seen("calling"));
    for (const said of [ended, failed]) expect(life.poll(said, second).changes).toEqual([]);
    expect(life.poll(ended, second).changes).toMatchObject([{ status: "failure", terminal: true }]);
  });
});

describe("a word of ours that is in no map", () => {
  const unmapped = observed("success", "", { isMapped: false });

  test("ends no call until it is mapped", () => {
    const life = new Life(seen("calling"));
    expect(life.poll(unmapped, second)).toMatchObject({ changes: [{ status: "success", terminal: false }], next: interval });
    expect(life.poll(unmapped, second).changes).toEqual([]);
    expect(life.poll(status("success"), second)).toMatchObject({ changes: [{ status: "success", terminal: true }], next: none });
  });
});

test("other details are noted without an event", () => {
  const life = new Life(seen("calling"));
  const details = '{"duration_s":7}';
  expect(life.poll(observed("calling", "", { details }), second).changes).toEqual([{ kind: "note", reason: "", details }]);
  expect(life.poll(observed("calling", "", { details }), second).changes).toEqual([]);
  expect(life.poll(observed("success", "", { details }), second).changes).toMatchObject([{ kind: "status", details }]);
});

describe("404 for a call never seen", () => {
  test("within the grace is asked again at the interval", () => {
    const life = new Life(neverSeen);
    for (let poll = 0; poll < 10; poll++)
      expect(life.poll(notFound, poll === 0 ? 0 : 3 * second)).toMatchObject({ changes: [], next: interval });
    expect(life.poll(notFound, 2999)).toMatchObject({ changes: [], next: interval });
    expect(life.poll(notFound, 1)).toMatchObject({ changes: end("not_found"), next: none, endsUncorroborated: false, confirmed: false });
  });

  test("past the grace of the oldest watch spares those that are younger, also ones that the clock put in the future", () => {
    const life = new Life(neverSeen);
    life.youngestWatchAtMs = startMs + 20 * second;
    const untilMs = startMs + 30 * second;
    const ending = life.poll(notFound, 30 * second);
    expect(ending).toMatchObject({ changes: [{ kind: "end", endReason: "not_found", spares: { afterMs: startMs } }], next: none });
    life.youngestWatchAtMs = untilMs + hour;
    const [early] = life.poll(notFound, second).changes;
    expect(early).toMatchObject({ spares: { afterMs: startMs + second, untilMs: Number.MAX_SAFE_INTEGER } });
    const [late] = life.poll(notFound, 30 * second).changes;
    expect(late).toEqual({ kind: "end", endReason: "not_found", spares: null });
  });

  test("past the grace ends it at once", () => {
    expect(new Life(neverSeen).poll(notFound, 30 * second).changes).toEqual(end("not_found"));
  });
});

describe("400 for a call never seen", () => {
  test("two in a row end it", () => {
    const life = new Life(neverSeen);
    expect(life.poll(rejected, hour)).toMatchObject({ changes: [], next: interval });
    expect(life.poll(rejected, second)).toMatchObject({ changes: end("rejected"), next: none });
  });

  test("a 404 in between restarts the count", () => {
    const life = new Life(neverSeen);
    for (const said of [rejected, notFound, rejected]) expect(life.poll(said, second).changes).toEqual([]);
    expect(life.poll(rejected, second).changes).toEqual(end("rejected"));
  });

  test.each([failed, unauthorized, rateLimited])("$kind in between neither counts nor restarts the count", (between) => {
    const life = new Life(neverSeen);
    for (const said of [rejected, between, between]) expect(life.poll(said, second).changes).toEqual([]);
    expect(life.poll(rejected, second).changes).toEqual(end("rejected"));
  });
});

describe.each([
  ["404", [notFound]],
  ["400", [rejected]],
  ["404 and 400 in turn", [notFound, rejected]],
])("%s after a status was seen", (_name, rejections) => {
  const rejectionAt = (index: number) => rejections[index % rejections.length]!;

  test("backs off, and is lost when three in a row have lasted five minutes", () => {
    const life = new Life(seen("calling"));
    const delays = [0, 1, 2, 3, 4, 5].map((index) => life.poll(rejectionAt(index), index === 0 ? 0 : 59 * second));
    expect(delays.map(({ next }) => next)).toEqual([2, 4, 8, 16, 32, 60].map((seconds) => delay(seconds * second)));
    expect(delays.flatMap(({ changes }) => changes)).toEqual([]);
    expect(life.poll(rejectionAt(6), 4999)).toMatchObject({ changes: [] });
    expect(life.poll(rejectionAt(7), 1)).toMatchObject({ changes: end("lost"), next: none, confirmed: false });
  });

  test("two that are five minutes apart are not enough", () => {
    const life = new Life(seen("calling"));
    expect(life.poll(rejectionAt(0)).changes).toEqual([]);
    expect(life.poll(rejectionAt(1), 6 * minute).changes).toEqual([]);
    expect(life.poll(rejectionAt(2), 0).changes).toEqual(end("lost"));
  });

  test("is lost at the second when the last good poll is more than two hours old", () => {
    const life = new Life(seen("calling"));
    expect(life.poll(rejectionAt(0), 2 * hour - 2 * second).changes).toEqual([]);
    expect(life.poll(rejectionAt(1), 0).changes).toEqual([]);
    const later = new Life(seen("calling"));
    expect(later.poll(rejectionAt(0), 2 * hour - 2 * second + 1).changes).toEqual([]);
    expect(later.poll(rejectionAt(1), 0).changes).toEqual(end("lost"));
  });

  test("a good poll in between restarts the count", () => {
    const life = new Life(seen("calling"));
    for (let round = 0; round < 4; round++) {
      expect(life.poll(rejectionAt(0), 2 * minute).changes).toEqual([]);
      expect(life.poll(rejectionAt(1), 2 * minute).changes).toEqual([]);
      expect(life.poll(status("calling"), second)).toMatchObject({ memory: freshPollMemory, next: interval });
    }
  });

  test("failures in between neither count nor restart the count", () => {
    const life = new Life(seen("calling"));
    for (const said of [rejectionAt(0), failed, failed, failed]) expect(life.poll(said, 2 * minute).changes).toEqual([]);
    expect(life.poll(rejectionAt(1), second).changes).toEqual([]);
    expect(life.poll(rejectionAt(2), second).changes).toEqual(end("lost"));
  });
});

describe("without a witness", () => {
  const wouldEnd = {
    not_found: () => ({ life: new Life(neverSeen), rejection: notFound, afterMs: 30 * second }),
    rejected: () => {
      const life = new Life(neverSeen);
      life.poll(rejected);
      return { life, rejection: rejected, afterMs: 0 };
    },
    lost: () => {
      const life = new Life(seen("calling"));
      for (const afterMs of [0, second]) life.poll(notFound, afterMs);
      return { life, rejection: notFound, afterMs: 5 * minute };
    },
  };

  test.each(["not_found", "rejected", "lost"] as const)("%s is put off for ten minutes, backing off", (endReason) => {
    const { life, rejection, afterMs } = wouldEnd[endReason]();
    life.corroborationAgeMs = null;
    expect(life.poll(rejection, afterMs)).toMatchObject({ changes: [], next: { kind: "delay" }, endsUncorroborated: true });
    for (let poll = 0; poll < 9; poll++) expect(life.poll(rejection, minute)).toMatchObject({ changes: [], endsUncorroborated: true });
    expect(life.poll(rejection, minute - 1).next).toEqual(delay(minute));
    expect(life.poll(rejection, 1)).toMatchObject({ changes: end(endReason), next: none, endsUncorroborated: true });
  });

  test.each(["not_found", "rejected", "lost"] as const)("%s follows at the next denial once there is one", (endReason) => {
    const { life, rejection, afterMs } = wouldEnd[endReason]();
    life.corroborationAgeMs = 10 * minute + 1;
    expect(life.poll(rejection, afterMs).changes).toEqual([]);
    life.corroborationAgeMs = 10 * minute;
    expect(life.poll(rejection)).toMatchObject({ changes: end(endReason), endsUncorroborated: false });
  });

  test("a source whose denials need none ends its calls at once", () => {
    const life = new Life(neverSeen, { uncorroboratedEndMs: 0 });
    life.corroborationAgeMs = null;
    expect(life.poll(notFound, 30 * second)).toMatchObject({ changes: end("not_found"), endsUncorroborated: false });
  });

  test("what was denied is forgotten when the source turns out to have been misconfigured", () => {
    const life = new Life(seen("calling"));
    life.corroborationAgeMs = null;
    for (let poll = 0; poll < 8; poll++) life.poll(notFound, minute);
    life.memory = resetRejections(life.memory);
    life.corroborationAgeMs = 0;
    expect(life.memory).toEqual(freshPollMemory);
    expect(life.poll(notFound, minute)).toMatchObject({ changes: [], next: delay(2 * second) });
  });

  test("forgetting keeps the status that would go backwards", () => {
    const life = new Life(seen("calling"));
    life.poll(status("queued"));
    life.memory = resetRejections(life.memory);
    expect(life.poll(status("queued")).changes).toMatchObject([{ kind: "status", status: "queued" }]);
  });
});

describe("a failure", () => {
  test("backs off, doubling to a minute, and starts over after a good poll", () => {
    const life = new Life(seen("calling"));
    const delays = Array.from({ length: 8 }, () => life.poll(failed).next);
    expect(delays).toEqual([2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => delay(seconds * second)));
    life.poll(status("calling"));
    expect(life.poll(failed).next).toEqual(delay(2 * second));
  });

  test.each([
    [0, 250],
    [0.1, 250],
    [0.5, 1000],
    [1, 2000],
  ])("has full jitter: %d of the cap is %d ms", (jitter, delayMs) => {
    const life = new Life(seen("calling"));
    life.jitter = jitter;
    expect(life.poll(failed).next).toEqual(delay(delayMs));
  });

  test("starts over after an answer for a call not triggered yet", () => {
    const life = new Life(neverSeen);
    for (const said of [failed, failed, notFound]) life.poll(said);
    expect(life.poll(failed).next).toEqual(delay(2 * second));
  });

  test("never ends a call", () => {
    const life = new Life(seen("calling"));
    for (let poll = 0; poll < 100; poll++) expect(life.poll(failed, 10 * minute).changes).toEqual([]);
  });
});

describe.each([unauthorized, { kind: "unauthorized", statusCode: 403 } as const, rateLimited])("$kind $statusCode", (said) => {
  test("changes nothing for the call", () => {
    const life = new Life(seen("calling"));
    life.poll(notFound);
    const { memory } = life;
    const decision = life.poll(said, hour);
    expect(decision).toMatchObject({ changes: [], next: interval, confirmed: false, lastGoodPollAtMs: startMs - 2 * second });
    expect(decision.memory).toBe(memory);
  });
});

describe("the deadline", () => {
  const due = (known: CallStatus) => {
    const life = new Life(known);
    life.deadlineAtMs = startMs;
    return life;
  };

  test("does nothing a millisecond before", () => {
    const life = due(seen("calling"));
    life.deadlineAtMs += 1;
    expect(life.poll(status("calling")).changes).toEqual([]);
  });

  test.each([
    ["the same status", status("calling"), [{ kind: "expire" }]],
    ["another reason", status("calling", "x"), [{ kind: "note", reason: "x", details: null }, { kind: "expire" }]],
    [
      "another status",
      status("on_hold"),
      [
        { kind: "status", status: "on_hold", reason: "", details: null, terminal: false, observedAfterMs: startMs - 2 * second },
        { kind: "expire" },
      ],
    ],
    ["a status going backwards", status("queued"), [{ kind: "expire" }]],
    ["404", notFound, [{ kind: "expire" }]],
    ["400", rejected, [{ kind: "expire" }]],
    ["a failure", failed, [{ kind: "expire" }]],
    ["429", rateLimited, [{ kind: "expire" }]],
  ])("one more poll that says %s expires the due watches", (_name, said, changes) => {
    expect(due(seen("calling")).poll(said).changes).toEqual(changes);
  });

  test.each([401, 403] as const)("%i suspends the source, and the ending waits", (statusCode) => {
    expect(due(seen("calling")).poll({ kind: "unauthorized", statusCode })).toMatchObject({ changes: [], next: interval });
  });

  test("a terminal status comes first, and ends them all", () => {
    expect(due(seen("calling")).poll(status("success"))).toMatchObject({ changes: [{ kind: "status", status: "success" }], next: none });
  });

  test("so does an ending by 404", () => {
    expect(due(neverSeen).poll(notFound, 30 * second).changes).toEqual(end("not_found"));
  });

  test("does not wait for a witness", () => {
    const life = due(neverSeen);
    life.corroborationAgeMs = null;
    expect(life.poll(notFound, 30 * second)).toMatchObject({ changes: [{ kind: "expire" }], endsUncorroborated: true });
  });
});

test.each([
  [0, 0],
  [hour - 1, 0],
  [hour, 30 * second],
  [6 * hour - 1, 30 * second],
  [6 * hour, 2 * minute],
  [7 * 24 * hour, 2 * minute],
  [-hour, 0],
])("a call unchanged for %d ms is polled every %d ms (0: as usual)", (unchangedMs, intervalMs) => {
  expect(minIntervalForAge(unchangedMs)).toBe(intervalMs);
});

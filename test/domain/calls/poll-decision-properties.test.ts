import fc from "fast-check";
import { expect, test } from "vitest";
import type { CallStatus, Observation } from "../../../src/domain/calls/call.ts";
import { goesBackwards, isTerminalStatus } from "../../../src/domain/calls/call-status.ts";
import { decideAfterPoll, freshPollMemory } from "../../../src/domain/calls/poll-decision.ts";
import type { PollDecision, PollPolicy } from "../../../src/domain/calls/poll-decision.ts";

const policy: PollPolicy = {
  notFoundGraceMs: 30_000,
  lostAfterMs: 300_000,
  statusRetentionMs: 7_200_000,
  backoffMinMs: 2000,
  backoffMaxMs: 60_000,
  corroborationMs: 600_000,
  uncorroboratedEndMs: 600_000,
};
const startMs = Date.UTC(2026, 10, 24, 12);

type Poll = {
  readonly observation: Observation;
  readonly afterMs: number;
  readonly corroborationAgeMs: number | null;
  readonly jitter: number;
};
/** One poll and what was decided, with the call as it was before and everything it was answered until then. */
type Step = Poll & {
  readonly before: CallStatus;
  readonly nowMs: number;
  readonly decision: PollDecision;
  readonly earlier: readonly Step[];
};

const observations: fc.Arbitrary<Observation> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("status" as const),
      status: fc.constantFrom("queued", "calling", "calling", "on_hold", "success"),
      reason: fc.constantFrom("", "r"),
      isMapped: fc.boolean(),
      isTentative: fc.boolean(),
      details: fc.constantFrom(null, '{"a":1}'),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ kind: "not_found" as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: "rejected" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "unauthorized" as const, statusCode: 401 as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "rate_limited" as const, retryAfterMs: null }) },
  { weight: 2, arbitrary: fc.constant({ kind: "failed" as const, code: "timeout" as const, detail: "" }) },
);
const polls = fc.array(
  fc.record({
    observation: observations,
    afterMs: fc.constantFrom(0, 2000, 5000, 31_000, 120_000, 301_000, 7_201_000),
    corroborationAgeMs: fc.constantFrom(null, 0, 600_000, 600_001),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { maxLength: 40 },
);
const deadlines = fc.constantFrom(60_000, 86_400_000, Number.MAX_SAFE_INTEGER).map((afterMs) => startMs + afterMs);

function live(sequence: readonly Poll[], earliestDeadlineAtMs: number): readonly Step[] {
  const steps: Step[] = [];
  let known: CallStatus = { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null };
  let memory = freshPollMemory;
  let nowMs = startMs;
  for (const poll of sequence) {
    nowMs += poll.afterMs;
    const context = {
      nowMs,
      corroboratedAtMs: poll.corroborationAgeMs === null ? null : nowMs - poll.corroborationAgeMs,
      jitter: poll.jitter,
    };
    const input = { status: known, memory, oldestWatchAtMs: startMs, youngestWatchAtMs: startMs, earliestDeadlineAtMs };
    const decision = decideAfterPoll(input, poll.observation, context, policy);
    steps.push({ ...poll, before: known, nowMs, decision, earlier: [...steps] });
    memory = decision.memory;
    known = statusAfter(known, decision, nowMs);
    if (decision.next.kind === "none") break;
  }
  return steps;
}

/** As the store writes it. */
function statusAfter(before: CallStatus, { changes, lastGoodPollAtMs }: PollDecision, nowMs: number): CallStatus {
  const [change] = changes;
  if (change?.kind === "status") return { ...before, ...change, observedAtMs: nowMs, lastGoodPollAtMs };
  return { ...before, ...(change?.kind === "note" ? { reason: change.reason, details: change.details } : {}), lastGoodPollAtMs };
}

/** What the upstream said of the call until then, without the answers that say nothing of it; newest first. */
function sayings({ earlier }: Step): readonly Step[] {
  return earlier.filter(({ observation }) => ["status", "not_found", "rejected"].includes(observation.kind)).toReversed();
}

function holds(check: (step: Step, deadlineAtMs: number) => void): void {
  fc.assert(
    fc.property(polls, deadlines, (sequence, deadlineAtMs) => {
      for (const step of live(sequence, deadlineAtMs)) check(step, deadlineAtMs);
    }),
    { numRuns: 300 },
  );
}

/** Whether the answer has a word that ends the call. */
function isEnd({ observation }: Step): boolean {
  return observation.kind === "status" && observation.isMapped && isTerminalStatus(observation.status);
}

const changeOf = (step: Step, kind: string) => step.decision.changes.find((change) => change.kind === kind);

test("an event says what was observed, and never the status that is known", () => {
  holds((step) => {
    const change = changeOf(step, "status");
    if (change?.kind !== "status") return;
    expect(step.observation).toMatchObject({ kind: "status", status: change.status, reason: change.reason });
    // A word of ours that was in no map ends the call once the map has it.
    if (!change.terminal) expect(change.status).not.toBe(step.before.status);
    expect(change.terminal).toBe(isEnd(step));
  });
});

test("`observed_after` is the last poll that said the previous status", () => {
  holds((step) => {
    const change = changeOf(step, "status");
    if (change?.kind !== "status") return;
    const last = sayings(step).find(
      ({ observation, decision }) => decision.confirmed && observation.kind === "status" && observation.status === step.before.status,
    );
    expect(change.observedAfterMs).toBe(last?.nowMs ?? null);
  });
});

test("what goes backwards is believed when two in a row say so, and is an anomaly", () => {
  holds((step) => {
    const { before, observation, decision } = step;
    const backwards = observation.kind === "status" && before.status !== null && goesBackwards(before.status, observation.status);
    const [previous] = sayings(step);
    const twice = backwards && previous?.observation.kind === "status" && previous.observation.status === observation.status;
    expect(decision.isRegression).toBe(twice);
    if (backwards) expect(changeOf(step, "status") !== undefined).toBe(twice);
  });
});

test("a terminal status is followed by nothing, and every other one by another poll", () => {
  holds((step) => {
    const change = changeOf(step, "status");
    const ends = changeOf(step, "end") !== undefined || (change?.kind === "status" && change.terminal);
    expect(step.decision.next.kind === "none").toBe(ends);
  });
});

test("an end is believed at once, or if it is tentative when two in a row say so, or at the deadline", () => {
  holds((step, deadlineAtMs) => {
    if (!isEnd(step) || step.observation.kind !== "status") return;
    const [previous] = sayings(step);
    const believed = !step.observation.isTentative || step.nowMs >= deadlineAtMs || (previous !== undefined && isEnd(previous));
    expect(changeOf(step, "status") !== undefined).toBe(believed);
  });
});

test("a delay is between nothing and a minute", () => {
  holds(({ decision: { next } }) => {
    if (next.kind !== "delay") return;
    expect(next.delayMs).toBeGreaterThan(0);
    expect(next.delayMs).toBeLessThanOrEqual(policy.backoffMaxMs);
  });
});

test("a call ends by what was said of it in a row", () => {
  holds((step) => {
    const change = changeOf(step, "end");
    if (change?.kind !== "end") return;
    const said = sayings(step);
    const streakEnd = said.findIndex(({ observation }) => observation.kind === "status");
    const streak = [step, ...(streakEnd === -1 ? said : said.slice(0, streakEnd))];
    if (change.endReason === "not_found") {
      expect(step.before.status).toBeNull();
      expect(step.observation.kind).toBe("not_found");
      expect(step.nowMs - startMs).toBeGreaterThanOrEqual(policy.notFoundGraceMs);
    } else if (change.endReason === "rejected") {
      expect(step.before.status).toBeNull();
      expect(streak.slice(0, 2).map(({ observation }) => observation.kind)).toEqual(["rejected", "rejected"]);
    } else {
      expect(step.before.status).not.toBeNull();
      const lastedMs = step.nowMs - (streak.at(-1)?.nowMs ?? 0);
      const isLongGone = step.nowMs - (step.before.lastGoodPollAtMs ?? 0) > policy.statusRetentionMs;
      expect((streak.length >= 3 && lastedMs >= policy.lostAfterMs) || (streak.length >= 2 && isLongGone)).toBe(true);
    }
  });
});

test("a call ends with a witness or ten minutes after it would have ended", () => {
  holds((step) => {
    if (changeOf(step, "end") === undefined) return;
    const lastGood = step.earlier.findLastIndex(({ decision }) => decision.memory === freshPollMemory);
    const firstPutOff = step.earlier.slice(lastGood + 1).find(({ decision }) => decision.endsUncorroborated);
    const isCorroborated = step.corroborationAgeMs !== null && step.corroborationAgeMs <= policy.corroborationMs;
    expect(isCorroborated || step.nowMs - (firstPutOff?.nowMs ?? Number.POSITIVE_INFINITY) >= policy.uncorroboratedEndMs).toBe(true);
    expect(step.decision.endsUncorroborated).toBe(!isCorroborated);
  });
});

test("past the deadline every answer that does not suspend the source ends the due watches, last of all", () => {
  holds(({ decision, nowMs, observation }, deadlineAtMs) => {
    const isDue = nowMs >= deadlineAtMs && observation.kind !== "unauthorized" && decision.next.kind !== "none";
    expect(decision.changes.map(({ kind }) => kind).indexOf("expire")).toBe(isDue ? decision.changes.length - 1 : -1);
  });
});

test("answers about the source leave no trace", () => {
  holds((step) => {
    if (step.observation.kind !== "unauthorized" && step.observation.kind !== "rate_limited") return;
    expect(step.decision.memory).toBe(step.earlier.at(-1)?.decision.memory ?? freshPollMemory);
    expect(step.decision.changes.filter(({ kind }) => kind !== "expire")).toEqual([]);
    expect(step.decision).toMatchObject({ lastGoodPollAtMs: step.before.lastGoodPollAtMs, confirmed: false });
  });
});

test("a call polled as usual shares its memory with all others", () => {
  holds(({ decision, observation }) => {
    if (observation.kind === "status" && decision.confirmed) expect(decision.memory).toBe(freshPollMemory);
  });
});

import { expect, test } from "vitest";
import type { CallEndReason, CallStatus } from "../../src/domain/calls/call.ts";
import { decideAfterPoll, freshPollMemory } from "../../src/domain/calls/poll-decision.ts";
import { SandboxSource, sandboxPolling } from "../../src/simulator/sandbox-source.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { seen } from "../harness/observations.ts";

function sandbox(maxLives?: number) {
  const clock = new FakeClock();
  const source = new SandboxSource({ clock, ...(maxLives === undefined ? {} : { maxLives }) });
  const poll = async (callSid: string, scope = "acc_1") => {
    const { observation } = await source.poll({ callSid, scope });
    return observation.kind === "status" ? observation.status : observation.kind;
  };
  return { clock, source, poll };
}

test("a life begins with the first poll and ends by its script", async () => {
  const { clock, poll } = sandbox();
  await clock.advance(60_000);
  expect(await poll("OUT-sandbox-success-1")).toBe("queued");
  await clock.advance(3_000);
  expect(await poll("OUT-sandbox-success-1")).toBe("calling");
  await clock.advance(6_000);
  expect(await poll("OUT-sandbox-success-1")).toBe("success");
});

// Setup: a clock that goes on between two reads, as the real one does. What this proves: the first poll is never before the start.
test("the first poll finds the call, however fine the clock", async () => {
  let nowMs = 0;
  const clock = Object.assign(new FakeClock(), { monotonicMs: () => (nowMs += 0.001) });
  const { observation } = await new SandboxSource({ clock }).poll({ callSid: "OUT-sandbox-success", scope: "acc_1" });
  expect(observation).toEqual(seen("queued"));
});

test("the same SID of two accounts is two calls", async () => {
  const { clock, poll } = sandbox();
  await poll("OUT-sandbox-success", "acc_1");
  await clock.advance(9_000);
  expect(await poll("OUT-sandbox-success", "acc_2")).toBe("queued");
  expect(await poll("OUT-sandbox-success", "acc_1")).toBe("success");
});

test("a restarted call starts again with its next poll", async () => {
  const { clock, source, poll } = sandbox();
  await poll("OUT-sandbox-failure");
  await clock.advance(9_000);
  source.restart("acc_1", "OUT-sandbox-failure");
  await clock.advance(9_000);
  expect(await poll("OUT-sandbox-failure")).toBe("queued");
});

test.each([
  ["OUT-sandbox-success", 9_000],
  ["OUT-sandbox-failure-1", 8_000],
  ["OUT-sandbox-slow", 12_000],
  ["OUT-sandbox-lost", 8_000],
])("%s is over after %i ms, polled or not", async (callSid, lifeMs) => {
  const { clock, source, poll } = sandbox();
  expect(source.isOver("acc_1", callSid)).toBe(true);
  await poll(callSid);
  await clock.advance(lifeMs - 1);
  expect(source.isOver("acc_1", callSid)).toBe(false);
  expect(source.isOver("acc_2", callSid)).toBe(true);
  await clock.advance(1);
  expect(source.isOver("acc_1", callSid)).toBe(true);
});

test("a SID without a scenario is rejected", async () => {
  expect(await sandbox().poll("OUT-sandbox-unheard-of")).toBe("rejected");
});

test("past the limit the oldest life is forgotten", async () => {
  const { clock, poll } = sandbox(2);
  await poll("OUT-sandbox-success-1");
  await clock.advance(3_000);
  await poll("OUT-sandbox-success-2");
  await poll("OUT-sandbox-success-3");
  expect(await poll("OUT-sandbox-success-3")).toBe("queued");
  expect(await poll("OUT-sandbox-success-1")).toBe("queued");
});

test("an account that begins many lives loses its own, and ends no life of another", async () => {
  const { clock, poll } = sandbox(10);
  await poll("OUT-sandbox-slow", "acc_quiet");
  await clock.advance(1_000);
  for (let n = 0; n < 1000; n++) await poll(`OUT-sandbox-slow-${n}`, `acc_${n % 2}`);
  await clock.advance(11_000);
  expect(await poll("OUT-sandbox-slow", "acc_quiet")).toBe("success");
  expect(await poll("OUT-sandbox-slow-0", "acc_0")).toBe("queued");
});

test("polling a known call evicts no other", async () => {
  const { clock, poll } = sandbox(2);
  await poll("OUT-sandbox-success-1");
  await poll("OUT-sandbox-success-2");
  await clock.advance(9_000);
  expect(await poll("OUT-sandbox-success-2")).toBe("success");
  expect(await poll("OUT-sandbox-success-1")).toBe("success");
});

// Setup: the sandbox polled by the real decision function at the sandbox's own waits, jitter in the middle.
// What this proves: the endings without a terminal status come after about 10 s, without a witness from another call.
test.each([
  ["OUT-sandbox-not-found", "not_found"],
  ["OUT-sandbox-lost", "lost"],
] as const)("%s ends as %s within about 10 s", async (callSid, expected) => {
  const { clock, source } = sandbox();
  const startedAtMs = clock.nowMs();
  let known: string | null = null;
  let lastGoodPollAtMs: number | null = null;
  let memory = freshPollMemory;
  let endReason: CallEndReason | null = null;
  while (endReason === null && clock.nowMs() - startedAtMs < 60_000) {
    const { observation } = await source.poll({ callSid, scope: "acc_1" });
    if (observation.kind === "not_started") throw new Error("the sandbox needs nothing to be asked");
    const nowMs = clock.nowMs();
    const status: CallStatus = { status: known, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs };
    const decision = decideAfterPoll(
      { status, memory, oldestWatchAtMs: startedAtMs, youngestWatchAtMs: startedAtMs, earliestDeadlineAtMs: startedAtMs + 86_400_000 },
      observation,
      { nowMs, corroboratedAtMs: lastGoodPollAtMs, jitter: 0.5 },
      sandboxPolling,
    );
    memory = decision.memory;
    for (const change of decision.changes) {
      if (change.kind === "status") known = change.status;
      if (change.kind === "end") ({ endReason } = change);
    }
    ({ lastGoodPollAtMs } = decision);
    await clock.advance(decision.next.kind === "delay" ? decision.next.delayMs : sandboxPolling.intervalMaxMs);
  }
  expect(endReason).toBe(expected);
  expect(clock.nowMs() - startedAtMs).toBeGreaterThan(7_000);
  expect(clock.nowMs() - startedAtMs).toBeLessThan(12_000);
});

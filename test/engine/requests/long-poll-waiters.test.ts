import { describe, expect, test } from "vitest";
import { LongPollWaiters } from "../../../src/engine/requests/long-poll-waiters.ts";
import type { Notice } from "../../../src/ports/stores/call-store.ts";
import type { AwaitedChange } from "../../../src/ports/use-cases/live-state.ts";
import { FakeClock } from "../../harness/fake-clock.ts";

const never = new AbortController().signal;

function notice(given: Partial<Notice> = {}): Notice {
  return { accountId: "acc_1", watchId: "wch_1", callSid: "OUT-1", sequence: 1, eventType: "call.queued", ...given };
}

/** Waiters with limits, and a list of the ends in their order. */
function createWorld(maxPerAccount = 0, maxInAll = 100) {
  const clock = new FakeClock();
  const waiters = new LongPollWaiters({ clock, maxPerAccount, maxInAll });
  const ends: string[] = [];
  const wait = (name: string, change: Partial<AwaitedChange> = {}, signal = never) =>
    void waiters.wait({ accountId: "acc_1", watchId: null, ...change }, 30_000, signal).then((end) => ends.push(`${name} ${end}`));
  const settled = async () => {
    await clock.settle();
    return ends.splice(0);
  };
  return { clock, waiters, wait, settled };
}

describe("waiting requests", () => {
  test("are woken by their watch or their account, and by nothing else", async () => {
    const { waiters, wait, settled } = createWorld();
    wait("watch", { watchId: "wch_1" });
    wait("other watch", { watchId: "wch_2" });
    wait("account");
    wait("other account", { accountId: "acc_2" });
    waiters.publish([notice()]);
    expect(await settled()).toEqual(["watch event", "account event"]);
    waiters.stop();
    expect(await settled()).toEqual(["other watch stopping", "other account stopping"]);
    expect(waiters.hasWaiters).toBe(false);
  });

  test("are not woken by events that they do not want", async () => {
    const { waiters, wait, settled } = createWorld();
    wait("endings", { matches: ({ eventType }) => eventType === "call.success" });
    wait("one call", { matches: ({ callSid }) => callSid === "OUT-2" });
    waiters.publish([notice(), notice({ callSid: "OUT-3" })]);
    expect(await settled()).toEqual([]);
    waiters.publish([notice({ callSid: "OUT-2", eventType: "call.success" })]);
    expect(await settled()).toEqual(["endings event", "one call event"]);
  });

  test("end with their time and with their client", async () => {
    const { clock, waiters, wait, settled } = createWorld();
    const client = new AbortController();
    wait("left", {}, client.signal);
    wait("late");
    client.abort();
    await clock.advance(30_000);
    expect(await settled()).toEqual(["left aborted", "late timeout"]);
    expect(waiters.hasWaiters).toBe(false);
  });

  test("of one account are limited, those of another are not affected", async () => {
    const { waiters, wait, settled } = createWorld(2);
    for (const name of ["1", "2", "3"]) wait(name);
    wait("4", { accountId: "acc_2" });
    expect(await settled()).toEqual(["3 too_many"]);
    waiters.publish([notice()]);
    wait("5");
    expect(await settled()).toEqual(["1 event", "2 event"]);
  });

  test("beyond the limit of all, the account with the most has its oldest answered", async () => {
    const { wait, settled } = createWorld(0, 4);
    wait("quiet", { accountId: "acc_2" });
    for (const name of ["1", "2", "3", "4"]) wait(name);
    expect(await settled()).toEqual(["1 timeout"]);
    wait("quiet too", { accountId: "acc_3" });
    expect(await settled()).toEqual(["2 timeout"]);
  });

  test("of as many accounts as may wait keep the bound", async () => {
    const { wait, settled } = createWorld(0, 3);
    for (const account of ["a", "b", "c", "d"]) wait(account, { accountId: account });
    expect(await settled()).toEqual(["a timeout"]);
  });
});

import { describe, expect, it } from "vitest";
import type { SweptPortion } from "../../src/ports/stores/mark-store.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import { day, expectKind, hour, minute, only } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";

const mine = "https://receiver.example/hook";
const others = "https://other.example/hook";

const loaded = async (world: OpenWorld) =>
  (await world.store.loadWatchedCalls({ afterCallId: null, limit: 100 })).map(({ callSid, accountId }) => [callSid, accountId]);

async function set(world: OpenWorld, isDisabled: boolean) {
  const { id: accountId } = await world.account();
  return world.store.setAccountState({ by: null, accountId, isDisabled, nowMs: world.nowMs });
}

/** Carries out the marks of the account. */
async function sweep(world: OpenWorld): Promise<readonly Extract<SweptPortion, { kind: "swept" }>[]> {
  const portions = [];
  for (;;) {
    const portion = await world.store.sweepMark({ accountId: (await world.account()).id, nowMs: world.nowMs });
    if (portion.kind === "nothing") return portions;
    portions.push(portion);
  }
}

/** Carries out the marks, and returns the SIDs of the calls that are polled from then on. */
const resumed = async (world: OpenWorld) =>
  (await sweep(world)).flatMap(({ resumedCalls }) => resumedCalls.map(({ callSid }) => callSid)).toSorted();

const park = (world: OpenWorld, ...callSids: readonly string[]) =>
  world.store.parkCalls(callSids.map((callSid) => ({ callId: world.call(callSid).callId, lastGoodPollAtMs: world.nowMs })));

/** The calls of two accounts: one that both watch, and one of each. */
async function twoAccounts(world: OpenWorld) {
  const [first, second] = [await world.account(), await world.account("other")];
  const own = { accountId: second.id, url: others };
  await world.watch("OUT-mine", { url: mine });
  await world.watch("OUT-theirs", own);
  await world.watch("OUT-shared", { url: mine, expiresAtMs: world.nowMs + hour });
  await world.watch("OUT-shared", { ...own, expiresAtMs: world.nowMs + 2 * hour });
  return { first, second };
}

/** Sends what a claim finds until none names something that is due now. */
async function sendAll(world: OpenWorld): Promise<readonly SendJob[]> {
  const sent: SendJob[] = [];
  for (;;) {
    const { jobs, nextDueAtMs } = await world.claim();
    for (const job of jobs) await world.record(job);
    sent.push(...jobs);
    if (jobs.length === 0 && nextDueAtMs !== world.nowMs) return sent;
  }
}

export function accountStateSuite(backend: StoreBackend): void {
  describe("a disabled account", () => {
    const open = worlds(backend);

    it("is listed, and keeps the time at which it was disabled", async () => {
      const world = await open();
      const { id } = await world.account();
      const disabled = expectKind(await set(world, true), "changed");
      expect(disabled.account).toMatchObject({ id, disabledAtMs: world.nowMs });
      world.pass(hour);
      expect(await set(world, true)).toEqual({ kind: "unchanged", account: disabled.account });
      expect(await world.store.listDisabledAccounts()).toEqual([id]);
      expect(await world.store.getAccount(id)).toEqual(disabled.account);
      expect(await set(world, false)).toMatchObject({ kind: "changed", account: { disabledAtMs: null } });
      expect(await set(world, false)).toMatchObject({ kind: "unchanged" });
      expect(await world.store.listDisabledAccounts()).toEqual([]);
      expect(await world.store.setAccountState({ by: null, accountId: "acc_0000000000a", isDisabled: true, nowMs: 1 })).toEqual({
        kind: "unknown",
      });
    });

    it("has its calls polled for others alone, and polled again once it is enabled", async () => {
      const world = await open({ marks: { threshold: 5, portion: 1 } });
      const { first, second } = await twoAccounts(world);
      await set(world, true);
      const kept = only(await park(world, "OUT-mine", "OUT-shared"));
      expect(kept).toMatchObject({ callSid: "OUT-shared", accountId: second.id, earliestDeadlineAtMs: world.nowMs + 2 * hour });
      const whileDisabled = [
        ["OUT-theirs", second.id],
        ["OUT-shared", second.id],
      ];
      expect(await loaded(world)).toEqual(whileDisabled);
      if (backend.durable) {
        await world.restart();
        if (!backend.shared) expect(await loaded(world)).toEqual(whileDisabled);
      }
      await set(world, false);
      const back = await resumed(world);
      expect(back).toContain("OUT-mine");
      if (backend.shared) return;
      expect(back).toEqual(["OUT-mine", "OUT-shared"]);
      expect((await loaded(world)).find(([callSid]) => callSid === "OUT-shared")).toEqual(["OUT-shared", first.id]);
    });

    it("has what others see committed, and no deadline of its watches ends them", async () => {
      const world = await open();
      const { first, second } = await twoAccounts(world);
      await set(world, true);
      const queued = await world.see("OUT-shared", "queued");
      expect(queued.notices.map(({ accountId }) => accountId)).toEqual([first.id, second.id]);
      expect(queued.call).toMatchObject({ accountId: second.id, earliestDeadlineAtMs: world.nowMs + 2 * hour });
      world.pass(90 * minute);
      const none = await world.commit("OUT-shared", [{ kind: "expire" }]);
      expect(none.notices).toEqual([]);
      world.pass(hour);
      const expired = await world.commit("OUT-shared", [{ kind: "expire" }]);
      expect(expired.notices).toMatchObject([{ accountId: second.id, eventType: "watch.expired" }]);
      expect(expired.call).toBeNull();
      expect(await loaded(world)).toEqual([["OUT-theirs", second.id]]);
      await set(world, false);
      expect(await resumed(world)).toEqual(["OUT-mine", "OUT-shared"]);
      await world.load("OUT-shared");
      const late = await world.commit("OUT-shared", [{ kind: "expire" }]);
      expect(late.notices).toMatchObject([{ accountId: first.id, eventType: "watch.expired" }]);
    });

    it("has no deadline of its watches end them on a crowded call either", async () => {
      const world = await open({ marks: { threshold: 2, portion: 2 } });
      const { id } = await world.account();
      const other = await world.account("other");
      for (let n = 0; n < 4; n++) await world.watch("OUT-1", { url: `https://r${n}.example/`, expiresAtMs: world.nowMs + minute });
      await world.watch("OUT-1", { accountId: other.id, url: others, expiresAtMs: world.nowMs + minute });
      await set(world, true);
      world.pass(hour);
      const { notices } = await world.commit("OUT-1", [{ kind: "expire" }]);
      expect(notices).toMatchObject([{ accountId: other.id, eventType: "watch.expired" }]);
      expect((await world.store.readStats()).watchesByStatus["active"]).toBe(4);
      expect(await world.store.listWatches({ accountId: id, limit: 10, cursor: null, status: "ended", callSid: null })).toMatchObject({
        data: [],
      });
    });

    it("has none of its deliveries claimed, and all of them in order once it is enabled", async () => {
      const world = await open({ marks: { threshold: 5, portion: 1 } });
      const { second } = await twoAccounts(world);
      await world.watch("OUT-mine", { url: "https://second.example/hook" });
      await world.release((await world.see("OUT-mine", "queued")).jobs);
      await set(world, true);
      const shared = await world.see("OUT-shared", "queued");
      await world.release(shared.jobs);
      world.pass(hour);
      await world.release((await world.see("OUT-shared", "calling")).jobs);
      const sent = await sendAll(world);
      expect(sent.map(({ event }) => event.accountId)).toEqual([second.id, second.id]);
      // What hides nothing any more costs the next claims nothing.
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: null });
      expect(await world.store.readStats()).toMatchObject({ oldestDueDeliveryAtMs: null, deliveriesByStatus: { pending: 4 } });
      await set(world, false);
      await sweep(world);
      const late = await sendAll(world);
      expect(late).toHaveLength(4);
      const ofShared = late.filter(({ event }) => "callSid" in event.data && event.data.callSid === "OUT-shared");
      expect(ofShared.map(({ event }) => event.type)).toEqual(["call.queued", "call.calling"]);
    });

    it("keeps a manual retry that was accepted until it is enabled", async () => {
      const world = await open();
      await world.watch("OUT-mine", { url: mine });
      const job = only((await world.see("OUT-mine", "success")).jobs);
      await world.record(job);
      const { id: accountId } = await world.account();
      const retry = { by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs };
      await world.release([expectKind(await world.store.claimManualRetry(retry), "claimed").job]);
      await set(world, true);
      expect((await world.claim()).jobs).toEqual([]);
      await set(world, false);
      expect(only((await world.claim()).jobs)).toMatchObject({ mode: "manual", deliveryId: job.deliveryId });
    });

    it("keeps what is pending for the retention, and no longer", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-mine", { url: mine });
      const job = only((await world.see("OUT-mine", "queued")).jobs);
      await world.release([job]);
      await set(world, true);
      const clean = () => world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 100 });
      world.pass(30 * day);
      await clean();
      expect((await world.deliveryOf(job)).view.delivery.status).toBe("pending");
      world.pass(minute);
      await clean();
      expect(await world.store.getDelivery(view.watch.accountId, job.deliveryId)).toMatchObject({
        view: { delivery: { status: "expired" } },
      });
    });

    it("that is disabled again takes back the marks of its enabling", async () => {
      const world = await open({ marks: { threshold: 5, portion: 1 } });
      await twoAccounts(world);
      await set(world, true);
      await park(world, "OUT-mine");
      await set(world, false);
      await world.store.sweepMark({ accountId: (await world.account()).id, nowMs: world.nowMs });
      await set(world, true);
      expect(await world.store.listMarkedAccounts(10)).toEqual([]);
      await park(world, "OUT-mine");
      await set(world, false);
      expect(await resumed(world)).toContain("OUT-mine");
    });
  });
}

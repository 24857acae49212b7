import { describe, expect, it } from "vitest";
import { decideAfterPoll, freshPollMemory } from "../../src/domain/calls/poll-decision.ts";
import { sandboxPolling } from "../../src/simulator/sandbox-source.ts";
import { maxEventsPerWatch } from "../../src/domain/calls/transition.ts";
import type { CallChange } from "../../src/domain/calls/call.ts";
import { encodeId } from "../../src/domain/ids.ts";
import { day, expectKind, minute, only, second, startMs, statusChange, typesOf } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreWorld } from "../harness/store-drafts.ts";
import type { StoreBackend } from "./store-backend.ts";

export function transitionsSuite(backend: StoreBackend): void {
  describe("transitions", () => {
    const open = worlds(backend);

    it("end a watch of a SID that is not found after its own grace, however often another account watches the SID", async () => {
      const world = await open();
      const other = await world.account("other");
      const { view } = await world.watch("OUT-1");
      const mine = async () => (await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch;
      const policy = { ...sandboxPolling, notFoundGraceMs: 30 * second };
      let memory = freshPollMemory;
      for (let passedMs = 0; (await mine())?.status === "active"; passedMs += second) {
        expect(passedMs).toBeLessThanOrEqual(31 * second);
        if (passedMs % (5 * second) === 0) await world.watch("OUT-1", { accountId: other.id, url: `https://other.example/${passedMs}` });
        const { status, oldestWatchAtMs, youngestWatchAtMs, earliestDeadlineAtMs } = world.call("OUT-1");
        const decision = decideAfterPoll(
          { status, memory, oldestWatchAtMs, youngestWatchAtMs, earliestDeadlineAtMs },
          { kind: "not_found" },
          { nowMs: world.nowMs, corroboratedAtMs: world.nowMs, jitter: 0 },
          policy,
        );
        ({ memory } = decision);
        if (decision.changes.length > 0) await world.commit("OUT-1", decision.changes);
        world.pass(second);
      }
      expect(await mine()).toMatchObject({ status: "ended", endReason: "not_found" });
      const { data } = await world.store.listWatches({ accountId: other.id, status: "active", callSid: null, limit: 10, cursor: null });
      // Of the others, those that are younger than their grace.
      expect(data.length).toBeGreaterThan(4);
    });

    it("notifies every active watch, each with its own sequence", async () => {
      const world = await open();
      const first = await world.watch("OUT-1", { metadata: { lead: "7" } });
      await world.see("OUT-1", "queued", "waiting");
      // Polled too long ago to be used.
      world.pass(2 * minute);
      const second = await world.watch("OUT-1", { url: "https://second.example/" });
      world.pass(2000);
      const { jobs, notices, call } = await world.commit("OUT-1", [statusChange("calling", "ringing", world.nowMs - 1000)]);
      expect(call).toMatchObject({ version: 3, status: { status: "calling", reason: "ringing", observedAtMs: world.nowMs } });
      expect(notices).toMatchObject([
        { watchId: first.view.watch.id, sequence: 2, eventType: "call.calling" },
        { watchId: second.view.watch.id, sequence: 1, eventType: "call.calling" },
      ]);
      expect(jobs.map((job) => job.event.data)).toMatchObject([
        { watchId: second.view.watch.id, sequence: 1, previousStatus: null, observedAfterMs: null },
      ]);
      const [one] = await world
        .drain()
        .then(() =>
          world.store.listWatchEvents({ accountId: first.view.watch.accountId, watchId: first.view.watch.id, limit: 5, cursor: null }),
        )
        .then((page) => page?.data.slice(1) ?? []);
      expect(one?.event.data).toEqual({
        watchId: first.view.watch.id,
        callSid: "OUT-1",
        source: "default",
        status: "calling",
        previousStatus: "queued",
        reason: "ringing",
        terminal: false,
        sequence: 2,
        observedAtMs: world.nowMs,
        observedAfterMs: world.nowMs - 1000,
        metadata: { lead: "7" },
        details: null,
      });
    });

    it("completes every watch at the end and polls no more", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { call, jobs } = await world.see("OUT-1", "failure", "busy");
      expect(call).toBeNull();
      expect(only(jobs).event).toMatchObject({ type: "call.failure", data: { terminal: true } });
      expect((await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch).toMatchObject({
        status: "completed",
        endReason: null,
        endedAtMs: world.nowMs,
      });
      expect(await world.store.loadWatchedCalls({ afterCallId: null, limit: 10 })).toEqual([]);
    });

    it("refuses a writer that knows an older version, and changes nothing", async () => {
      const world = await open();
      await world.watch("OUT-1");
      const stale = world.commitOf("OUT-1", [statusChange("success")]);
      await world.see("OUT-1", "queued");
      const refused = await world.store.commitCall(stale);
      expect(refused).toMatchObject({ kind: "stale", call: { version: 2, status: { status: "queued" } } });
      expect(await world.store.commitCall({ ...stale, callId: "call_unknown" })).toEqual({ kind: "stale", call: null });
    });

    it("commits several changes of one poll in their order", async () => {
      const world = await open();
      await world.watch("OUT-1");
      await world.see("OUT-1", "calling");
      const { jobs, notices } = await world.commit("OUT-1", [statusChange("queued"), statusChange("success")]);
      expect(jobs).toEqual([]);
      expect(notices.map((notice) => notice.sequence)).toEqual([2, 3]);
      expect(typesOf(await world.drain())).toEqual([]);
    });

    it("keeps the details of a call, for late watches, endings and readers", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const details = '{"duration_s":7,"name":"é"}';
      await world.commit("OUT-1", [{ ...statusChange("calling"), details } as CallChange]);
      const later = '{"duration_s":9,"name":null}';
      const { call } = await world.commit("OUT-1", [{ kind: "note", reason: "", details: later }]);
      expect(call?.status.details).toBe(later);
      const late = await world.watch("OUT-1", { url: "https://late.example/" });
      await world.commit("OUT-1", [], { confirmed: true });
      await world.commit("OUT-1", [{ kind: "end", endReason: "lost", spares: null }]);
      const detailsOf = async (watch: { readonly id: string; readonly accountId: string }) => {
        const page = await world.store.listWatchEvents({ accountId: watch.accountId, watchId: watch.id, limit: 9, cursor: null });
        return page?.data.map(({ event }) => [event.type, "details" in event.data ? event.data.details : undefined]);
      };
      expect(await detailsOf(view.watch)).toEqual([
        ["call.calling", details],
        ["watch.lost", later],
      ]);
      expect(await detailsOf(late.view.watch)).toEqual([
        ["call.calling", later],
        ["watch.lost", later],
      ]);
      const { accountId } = view.watch;
      expect(await world.store.getCall({ accountId, sourceName: "default", callSid: "OUT-1" })).toMatchObject({
        status: { details: later },
      });
      expect((await world.store.getWatch(accountId, view.watch.id))?.call.details).toBe(later);
    });

    it("notes another reason without an event", async () => {
      const world = await open();
      await world.watch("OUT-1");
      await world.see("OUT-1", "queued", "one");
      const { call, notices } = await world.commit("OUT-1", [{ kind: "note", reason: "two", details: null }]);
      expect(notices).toEqual([]);
      expect(call?.status).toMatchObject({ status: "queued", reason: "two", observedAtMs: startMs });
    });

    it.each(["not_found", "lost", "rejected"] as const)("ends every watch as %s", async (endReason) => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { events: ["call.queued"] });
      if (endReason === "lost") await world.drain().then(() => world.see("OUT-1", "calling"));
      const lastGoodPollAtMs = endReason === "lost" ? world.nowMs : null;
      world.pass(minute);
      const { jobs, call } = await world.commit("OUT-1", [{ kind: "end", endReason, spares: null }], {
        confirmed: false,
        lastGoodPollAtMs,
      });
      const status = endReason === "lost" ? "calling" : null;
      expect(call).toBeNull();
      expect(only(jobs).event).toMatchObject({
        type: `watch.${endReason}`,
        data: { status, previousStatus: status, terminal: true, observedAfterMs: lastGoodPollAtMs },
      });
      expect((await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch).toMatchObject({ status: "ended", endReason });
    });

    it("ends the watches whose grace is over, and goes on for the others", async () => {
      const world = await open();
      const old = await world.watch("OUT-1");
      world.pass(20 * second);
      const young = await world.watch("OUT-1", { url: "https://young.example/" });
      world.pass(10 * second);
      const spares = { afterMs: startMs, untilMs: world.nowMs };
      const { jobs, call } = await world.commit("OUT-1", [{ kind: "end", endReason: "not_found", spares }], { confirmed: false });
      expect(typesOf(jobs)).toEqual(["watch.not_found"]);
      expect(call).toMatchObject({ oldestWatchAtMs: startMs + 20 * second, youngestWatchAtMs: startMs + 20 * second });
      const statusOf = async ({ view }: typeof old) => (await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch.status;
      expect([await statusOf(old), await statusOf(young)]).toEqual(["ended", "active"]);
      expect((await world.see("OUT-1", "queued")).notices.map((notice) => notice.watchId)).toEqual([young.view.watch.id]);
    });

    it("expires the watches whose time is over, and only those", async () => {
      const world = await open();
      const short = await world.watch("OUT-1", { expiresAtMs: startMs + second });
      await world.watch("OUT-1", { url: "https://long.example/" });
      world.pass(second);
      const { jobs, call } = await world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false });
      expect(typesOf(jobs)).toEqual(["watch.expired"]);
      expect(call).toMatchObject({ earliestDeadlineAtMs: startMs + day, version: 2 });
      expect((await world.store.getWatch(short.view.watch.accountId, short.view.watch.id))?.watch.endReason).toBe("expired");
    });

    it("sends an expiring watch the status of the last poll first", async () => {
      const world = await open();
      await world.watch("OUT-1");
      await world.see("OUT-1", "calling");
      world.pass(10 * minute);
      const late = await world.watch("OUT-1", { url: "https://late.example/", expiresAtMs: world.nowMs + 1 });
      world.pass(1);
      const { notices } = await world.commit("OUT-1", [{ kind: "expire" }]);
      expect(notices.filter((notice) => notice.watchId === late.view.watch.id).map((notice) => notice.eventType)).toEqual([
        "call.calling",
        "watch.expired",
      ]);
    });

    it("filters deliveries, never sequences", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { events: ["terminal"] });
      expect((await world.see("OUT-1", "queued")).jobs).toEqual([]);
      expect((await world.see("OUT-1", "calling")).jobs).toEqual([]);
      expect(only((await world.see("OUT-1", "success")).jobs).event.data).toMatchObject({ sequence: 3 });
      const events = await world.store.listWatchEvents({
        accountId: view.watch.accountId,
        watchId: view.watch.id,
        limit: 10,
        cursor: null,
      });
      expect(events?.data.map(({ deliveries }) => deliveries.length)).toEqual([0, 0, 1]);
    });

    it("sends a watch with too many transitions only the end", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      for (let n = 0; n < maxEventsPerWatch + 3; n++) await world.see("OUT-1", n % 2 === 0 ? "calling" : "queued");
      const { notices } = await world.see("OUT-1", "success");
      expect(notices).toMatchObject([{ watchId: view.watch.id, sequence: maxEventsPerWatch + 1 }]);
    });

    it("makes the same id for the same facts", async () => {
      const [one, two] = [await open(), await open()];
      const id = encodeId("wch", 1);
      for (const world of [one, two]) await world.watch("OUT-1", { id });
      const ids = await Promise.all([one, two].map(async (world) => only((await world.see("OUT-1", "queued")).jobs).event.id));
      expect(ids[0]).toBe(ids[1]);
    });

    describe("and registrations of the same call at the same moment", () => {
      it.each([
        ["registration", "the commit makes the last event"],
        ["commit", "the registration makes the last event"],
      ] as const)("%s first: %s", async (first, _last) => {
        const world = await open();
        const winners: string[] = [];
        while (!winners.includes(first) && winners.length < 20) winners.push(await race(world, `OUT-${winners.length}`, first));
        expect(winners).toContain(first);
      });

      it("of many at once none is forgotten", async () => {
        const world = await open();
        await world.watch("OUT-1");
        const drafts = await Promise.all(
          Array.from({ length: 40 }, (_, n) => world.watchDraft("OUT-1", { url: `https://racer.example/${n}` })),
        );
        const commit = world.commitOf("OUT-1", [statusChange("failure")]);
        const register = (from: number, to: number) => drafts.slice(from, to).map((draft) => world.store.registerWatches([draft]));
        await Promise.all([...register(0, 20), world.store.commitCall(commit), ...register(20, 40)]);
        for (const draft of drafts)
          expect((await world.store.getWatch(draft.accountId, draft.id))?.watch).toMatchObject({ status: "completed", sequence: 1 });
      });

      it("a removal and a transition: no attempt for what was removed before", async () => {
        const world = await open();
        const winners: string[] = [];
        while (!winners.includes("removal") && winners.length < 20) winners.push(await raceRemoval(world, `OUT-${winners.length}`));
        expect(winners).toContain("removal");
      });
    });
  });
}

/** Races a registration and a commit on a new call, and checks the result of the order that they had: Postgres decides it. */
async function race(world: StoreWorld, callSid: string, first: "registration" | "commit"): Promise<"registration" | "commit"> {
  await world.watch(callSid);
  const draft = await world.watchDraft(callSid, { url: "https://racer.example/" });
  const commit = world.commitOf(callSid, [statusChange("success")]);
  const register = async () => only(await world.store.registerWatches([draft]));
  const [registered, committed] =
    first === "registration"
      ? await Promise.all([register(), world.store.commitCall(commit)])
      : await Promise.all([world.store.commitCall(commit), register()]).then(([one, other]) => [other, one] as const);
  expect(committed).toMatchObject({ kind: "committed", call: null });
  const { kind, view, call, jobs } = expectKind(registered, "created");
  expect((await world.store.getWatch(draft.accountId, draft.id))?.watch).toMatchObject({ status: "completed", sequence: 1 });
  const winner = view.watch.status === "active" ? "registration" : "commit";
  if (winner === "registration") expect({ kind, jobs }).toEqual({ kind: "created", jobs: [] });
  else expect({ call, watch: view.watch }).toMatchObject({ call: null, watch: { status: "completed", sequence: 1 } });
  return winner;
}

/** Races the removal of a watch and a commit on its call, and checks the result of the order that they had. */
async function raceRemoval(world: StoreWorld, callSid: string): Promise<"removal" | "commit"> {
  const { accountId, id: watchId } = (await world.watch(callSid)).view.watch;
  await world.watch(callSid, { url: "https://stays.example/" });
  const [, committed] = await Promise.all([
    world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs }),
    world.store.commitCall(world.commitOf(callSid, [statusChange("queued")])),
  ]);
  const urls = expectKind(committed, "committed").jobs.map((job) => job.target.url);
  const removed = await world.store.getWatch(accountId, watchId);
  const page = { accountId, endpointId: null, watchId, status: null, limit: 9, cursor: null };
  const deliveries = (await world.store.listDeliveries(page)).data.map(({ delivery }) => delivery.status);
  const winner = removed?.watch.sequence === 0 ? "removal" : "commit";
  // A removal cancels what was committed before it.
  const expected = { urls: [...(winner === "commit" ? ["https://receiver.example/hook"] : []), "https://stays.example/"] };
  expect({ urls: urls.toSorted(), deliveries }).toEqual({ ...expected, deliveries: winner === "commit" ? ["canceled"] : [] });
  return winner;
}

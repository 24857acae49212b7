import { describe, expect, it } from "vitest";
import type { AnswerDraft, ClaimedRun, IdempotencyClaim } from "../../src/ports/stores/idempotency-store.ts";
import type { RegisterWatchResult, WatchDraft } from "../../src/ports/stores/registration-store.ts";
import { claimWith, expectKind, hour, only, startMs } from "../harness/store-drafts.ts";
import type { StoreWorld } from "../harness/store-drafts.ts";
import type { StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

type Results = readonly RegisterWatchResult[];

const sealedOf = (text: string) => new TextEncoder().encode(text);
const answer = (text: string, deliveryId: string | null = null): AnswerDraft => ({ sealed: sealedOf(text), deliveryId, watchIds: [] });

async function claimOf(world: StoreWorld, id: string, nowMs = world.nowMs): Promise<IdempotencyClaim> {
  return claimWith({ id, accountId: (await world.account()).id, nowMs, expiresAtMs: nowMs + 24 * hour });
}

async function watchIds(world: StoreWorld): Promise<readonly string[]> {
  const { id: accountId } = await world.account();
  const { data } = await world.store.listWatches({ accountId, status: null, callSid: null, limit: 200, cursor: null });
  return data.map(({ watch }) => watch.id);
}

/** Registers a watch under a key; the answer is the id of the watch. */
async function registerUnder(
  world: StoreWorld,
  id: string,
  callSid: string,
  draftOf: (results: Results, draft: WatchDraft) => AnswerDraft | null = (_results, draft) => answer(draft.id),
): Promise<{ readonly draft: WatchDraft; readonly run: ClaimedRun<Results> }> {
  const draft = await world.watchDraft(callSid);
  const run = await world.store.underKey(await claimOf(world, id)).registerWatches([draft], (results) => draftOf(results, draft));
  return { draft, run };
}

export function idempotencySuite(backend: StoreBackend): void {
  describe("idempotency keys", () => {
    const open = worlds(backend);

    it("commit the answer with the work, and the same key does nothing more", async () => {
      const world = await open();
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toBeNull();
      const first = await registerUnder(world, "a", "OUT-1");
      expect(only(expectKind(first.run, "ran").result)).toMatchObject({ kind: "created", view: { watch: { id: first.draft.id } } });
      const stored = { kind: "stored", sealed: sealedOf(first.draft.id), delivery: null };
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toEqual(stored);
      const again = await registerUnder(world, "a", "OUT-2", () => {
        throw new Error("nothing ran, so nothing is drafted");
      });
      expect(again.run).toEqual(stored);
      expect(await watchIds(world)).toEqual([first.draft.id]);
      expect((await registerUnder(world, "b", "OUT-2")).run.kind).toBe("ran");
    });

    it("go with a watch that is purged: every answer that shows it, and no other", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const drafts = await Promise.all(Array.from({ length: 205 }, (_, n) => world.watchDraft(`OUT-${n}`)));
      const register = async (key: string, asked: readonly WatchDraft[]) =>
        world.store.underKey(await claimOf(world, key)).registerWatches(asked, (results) => ({
          ...answer(key),
          watchIds: results.flatMap((result) => ("view" in result ? [result.view.watch.id] : [])),
        }));
      await register("batch", drafts);
      await register("first", drafts.slice(0, 1));
      await register("last", drafts.slice(-1));
      const stored = async () => {
        const found = await Promise.all(
          ["batch", "first", "last"].map(async (key) => world.store.findStoredAnswer(await claimOf(world, key))),
        );
        return found.map((one) => one?.kind ?? null);
      };
      const remove = (draft: WatchDraft | undefined, purge: boolean) =>
        world.store.removeWatch({ accountId, watchId: draft?.id ?? "", purge, by: null, nowMs: world.nowMs });
      await remove(drafts[1], false);
      expect(await stored()).toEqual(["stored", "stored", "stored"]);
      await remove(drafts[0], true);
      expect(await stored()).toEqual([null, null, "stored"]);
      await remove(drafts.at(-1), true);
      expect(await stored()).toEqual([null, null, null]);
    });

    it("of a request that only reads keep its answer, with the watch that it shows", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const { draft } = await registerUnder(world, "registration", "OUT-1");
      const keep = async (key: string, watchId: string | null, account = accountId) => {
        const operations = world.store.underKey(await claimOf(world, key));
        return operations.keepAnswer({ accountId: account, watchId }, (isThere) =>
          isThere ? { ...answer(key), watchIds: watchId === null ? [] : [watchId] } : null,
        );
      };
      const kindOf = async (key: string) => (await world.store.findStoredAnswer(await claimOf(world, key)))?.kind ?? null;
      expect(await keep("shows none", null)).toEqual({ kind: "ran", result: true });
      expect(await keep("shows one", draft.id)).toEqual({ kind: "ran", result: true });
      expect((await keep("shows one", draft.id)).kind).toBe("stored");
      expect(await keep("of another account", draft.id, (await world.account("other")).id)).toEqual({ kind: "ran", result: false });
      expect(await kindOf("of another account")).toBeNull();
      await world.store.removeWatch({ accountId, watchId: draft.id, purge: true, by: null, nowMs: world.nowMs });
      expect([await kindOf("shows none"), await kindOf("shows one")]).toEqual(["stored", null]);
      expect(await keep("too late", draft.id)).toEqual({ kind: "ran", result: false });
      expect(await kindOf("too late")).toBeNull();
      expect(await world.store.keepAnswer({ accountId, watchId: null })).toBe(true);
    });

    it("count until they expire, then the work is done and stored again", async () => {
      const world = await open();
      const first = await registerUnder(world, "a", "OUT-1");
      world.pass(24 * hour - 1);
      expect((await registerUnder(world, "a", "OUT-2")).run.kind).toBe("stored");
      world.pass(1);
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toBeNull();
      const later = await registerUnder(world, "a", "OUT-3");
      expect(later.run.kind).toBe("ran");
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toMatchObject({ sealed: sealedOf(later.draft.id) });
      expect(await watchIds(world)).toEqual([later.draft.id, first.draft.id]);
    });

    it("store nothing where there is nothing to store", async () => {
      const world = await open();
      const { run } = await registerUnder(world, "a", "OUT-1", () => null);
      expect(run.kind).toBe("ran");
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toBeNull();
      expect(await watchIds(world)).toHaveLength(1);
      const empty = await world.store.underKey(await claimOf(world, "a")).registerWatches([], () => answer("nothing was asked"));
      expect(empty).toEqual({ kind: "ran", result: [] });
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toMatchObject({ sealed: sealedOf("nothing was asked") });
    });

    it("undo the work of an answer that cannot be drafted, and no other", async () => {
      const world = await open();
      const outcomes = await Promise.allSettled([
        registerUnder(world, "a", "OUT-1"),
        registerUnder(world, "b", "OUT-2", () => {
          throw new Error("no words for it");
        }),
        registerUnder(world, "c", "OUT-3"),
        world.watch("OUT-4"),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
      expect(outcomes[1]).toMatchObject({ reason: { message: expect.stringContaining("no words for it") } });
      expect(await watchIds(world)).toHaveLength(3);
      expect(await world.store.findStoredAnswer(await claimOf(world, "b"))).toBeNull();
      expect((await registerUnder(world, "b", "OUT-2")).run.kind).toBe("ran");
      for (const id of ["a", "c"]) expect((await registerUnder(world, id, "OUT-5")).run.kind).toBe("stored");
    });

    it("undo the work that fails by itself, and are free then", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const twin = { ...(await world.watchDraft("OUT-2")), id: view.watch.id };
      const failing = world.store.underKey(await claimOf(world, "a")).registerWatches([twin], () => answer("never"));
      await expect(failing).rejects.toThrow();
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toBeNull();
      expect((await registerUnder(world, "a", "OUT-2")).run.kind).toBe("ran");
    });

    it("let one of two through, and one of many", async () => {
      const world = await open();
      for (const count of [2, 40]) {
        const before = (await watchIds(world)).length;
        const attempts = await Promise.all(
          Array.from({ length: count }, (_, n) => registerUnder(world, `key ${count}`, `OUT-${count}-${n}`)),
        );
        const ran = only(attempts.filter(({ run }) => run.kind === "ran"));
        for (const { run } of attempts)
          if (run.kind === "stored") expect(run.sealed).toEqual(sealedOf(ran.draft.id));
          else if (run !== ran.run) expect(run).toEqual({ kind: "running" });
        expect(await watchIds(world)).toHaveLength(before + 1);
        expect((await registerUnder(world, `key ${count}`, "OUT-late")).run).toMatchObject({ sealed: sealedOf(ran.draft.id) });
      }
    });

    it("are each their own, at the same time", async () => {
      const world = await open();
      const attempts = await Promise.all(Array.from({ length: 20 }, (_, n) => registerUnder(world, `key ${n}`, `OUT-${n}`)));
      expect(attempts.map(({ run }) => run.kind)).toEqual(attempts.map(() => "ran"));
      for (const [n, { draft }] of attempts.entries())
        expect(await world.store.findStoredAnswer(await claimOf(world, `key ${n}`))).toMatchObject({ sealed: sealedOf(draft.id) });
    });

    it("hold what else can be asked for under one", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const span = { by: null, accountId, endpointId, sinceMs: 0, untilMs: world.nowMs, nowMs: world.nowMs };
      const job = only((await world.see("OUT-1", "queued")).jobs);
      const held = await world.store
        .underKey(await claimOf(world, "retry"))
        .claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs }, (result) =>
          result.kind === "in_flight" ? answer("in flight") : null,
        );
      expect(held).toEqual({ kind: "ran", result: { kind: "in_flight" } });
      await world.record(job);
      const recovered = await world.store.underKey(await claimOf(world, "recover")).recover(span, () => answer("0"));
      expect(recovered).toEqual({ kind: "ran", result: { kind: "recovered", recovered: 0, hurried: 0, more: false } });
      expect(await world.store.findStoredAnswer(await claimOf(world, "retry"))).toMatchObject({ sealed: sealedOf("in flight") });
    });

    it("of a test hold its acceptance until its attempt is the answer", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const request = { accountId, endpointId: view.endpoint?.id ?? "", nowMs: world.nowMs };
      const accept = async () =>
        world.store
          .underKey(await claimOf(world, "test"))
          .createTest(request, (result) => answer("accepted", expectKind(result, "claimed").job.deliveryId));
      const { job } = expectKind(expectKind(await accept(), "ran").result, "claimed");
      const accepted = { kind: "stored", sealed: sealedOf("accepted"), delivery: { id: job.deliveryId, leased: true } };
      expect(await accept()).toEqual(accepted);
      await world.record(job);
      expect(await accept()).toEqual({ ...accepted, delivery: { id: job.deliveryId, leased: false } });
      await world.store.completeAnswer({ id: "test", sealed: sealedOf("delivered") });
      await world.store.completeAnswer({ id: "test", sealed: sealedOf("too late") });
      expect(await accept()).toEqual({ kind: "stored", sealed: sealedOf("delivered"), delivery: null });
    });

    it("are erased in small batches once they count no more", async () => {
      const world = await open();
      for (let n = 0; n < 5; n++) await registerUnder(world, `key ${n}`, `OUT-${n}`);
      const young = await claimOf(world, "young", world.pass(hour));
      await world.store.underKey(young).registerWatches([], () => answer("young"));
      const clean = (nowMs: number) => world.store.deleteExpired({ beforeMs: startMs, nowMs, limit: 3 });
      expect(await clean(startMs + 24 * hour - 1)).toEqual({ deleted: 0, more: false });
      expect(await clean(startMs + 24 * hour)).toEqual({ deleted: 3, more: true });
      expect(await clean(startMs + 24 * hour)).toEqual({ deleted: 2, more: false });
      expect(await world.store.findStoredAnswer(young)).not.toBeNull();
    });

    it("of another request are not read, neither ahead of it nor in its transaction", async () => {
      const world = await open();
      await registerUnder(world, "a", "OUT-1");
      const other = { ...(await claimOf(world, "a")), requestHash: "another" };
      expect(await world.store.findStoredAnswer(other)).toEqual({ kind: "other_request" });
      const draft = await world.watchDraft("OUT-2");
      expect(await world.store.underKey(other).registerWatches([draft], () => answer("none"))).toEqual({ kind: "other_request" });
    });

    it("have no room beyond the bytes of their account, until the oldest answer leaves", async () => {
      const world = await open();
      const limited = async (id: string) => ({ ...(await claimOf(world, id)), maxStoredBytes: 1000 });
      const register = async (id: string) => {
        const draft = await world.watchDraft(`OUT-${id}`);
        return world.store.underKey(await limited(id)).registerWatches([draft], () => answer("x".repeat(500)));
      };
      expect((await register("a")).kind).toBe("ran");
      world.pass(hour);
      expect((await register("b")).kind).toBe("ran");
      expect(await register("c")).toEqual({ kind: "no_room", retryAfterMs: 23 * hour });
      expect(await watchIds(world)).toHaveLength(2);
      // A stored answer is repeated, and other accounts and requests without a limit have room.
      expect((await register("a")).kind).toBe("stored");
      const { id: accountId } = await world.account("other");
      const rotation = (given: Partial<IdempotencyClaim>) =>
        limited("d").then((claim) =>
          world.store
            .underKey({ ...claim, ...given })
            .recover({ by: null, accountId, endpointId: "ep_unknown", sinceMs: 0, untilMs: 1, nowMs: world.nowMs }, () => answer("y")),
        );
      expect((await rotation({ accountId })).kind).toBe("ran");
      expect((await rotation({ id: "e", maxStoredBytes: 0 })).kind).toBe("ran");
      // The oldest has expired; nothing but the request itself has deleted it.
      world.pass(23 * hour);
      expect((await register("c")).kind).toBe("ran");
      expect((await register("f")).kind).toBe("no_room");
      // Retention deletes the others, and their bytes are free.
      world.pass(hour);
      await world.store.deleteExpired({ beforeMs: startMs, nowMs: world.nowMs, limit: 10 });
      expect((await register("f")).kind).toBe("ran");
    });

    it("count the answer of a test once its attempt is recorded", async () => {
      const world = await open();
      const { draft } = await registerUnder(world, "a", "OUT-1");
      const { accountId } = draft;
      const { data } = await world.store.listEndpoints({ accountId, limit: 1, cursor: null });
      const request = { accountId, endpointId: only(data).endpoint.id, nowMs: world.nowMs };
      await world.store
        .underKey(await claimOf(world, "test"))
        .createTest(request, (result) => answer("", expectKind(result, "claimed").job.deliveryId));
      await world.store.completeAnswer({ id: "test", sealed: sealedOf("x".repeat(2000)) });
      const claim = { ...(await claimOf(world, "b")), maxStoredBytes: 2000 };
      const recovery = { by: null, accountId, endpointId: "ep_unknown", sinceMs: 0, untilMs: 1, nowMs: world.nowMs };
      expect((await world.store.underKey(claim).recover(recovery, () => answer("y"))).kind).toBe("no_room");
    });

    it("are there after a restart; a test whose attempt was lost is not leased", async () => {
      if (!backend.durable) return;
      const world = await open();
      const { draft } = await registerUnder(world, "a", "OUT-1");
      const { accountId } = draft;
      const { data } = await world.store.listEndpoints({ accountId, limit: 1, cursor: null });
      const request = { accountId, endpointId: only(data).endpoint.id, nowMs: world.nowMs };
      await world.store
        .underKey(await claimOf(world, "test"))
        .createTest(request, (result) => answer("accepted", expectKind(result, "claimed").job.deliveryId));
      await world.restart();
      expect(await world.store.findStoredAnswer(await claimOf(world, "a"))).toMatchObject({ sealed: sealedOf(draft.id) });
      const stored = expectKind((await world.store.findStoredAnswer(await claimOf(world, "test"))) ?? { kind: "other_request" }, "stored");
      expect(stored).toMatchObject({ sealed: sealedOf("accepted"), delivery: { leased: false } });
      const again = await world.store.claimManualRetry({ by: null, accountId, deliveryId: stored.delivery?.id ?? "", nowMs: world.nowMs });
      expect(await world.record(expectKind(again, "claimed").job)).toMatchObject({ attempt: { number: 1, decision: "delivered" } });
    });
  });
}

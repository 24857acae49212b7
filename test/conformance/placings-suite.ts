import { describe, expect, it } from "vitest";
import { placingLeaseMs } from "../../src/domain/calls/placing.ts";
import type { PlacingDraft } from "../../src/ports/stores/placing-store.ts";
import type { SettledPlacing } from "../../src/ports/stores/registration-store.ts";
import { claimWith, day, expectKind, hour, minute, only, placingDraft, second } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";

const key = { keyHash: "hash of one key" };
const month = 30 * day;

/** Commits an intent of the account `default`. */
async function intend(world: OpenWorld, given: Partial<PlacingDraft> = {}): Promise<PlacingDraft> {
  const draft = placingDraft((await world.account()).id, world.nowMs, given);
  expect(await world.store.createPlacing(draft)).toEqual({ kind: "created" });
  return draft;
}

const states = async (world: OpenWorld) => {
  const page = { accountId: (await world.account()).id, limit: 50, cursor: null, state: null };
  return (await world.store.listPlacings(page)).data.map(({ state }) => state);
};

/** Makes intents unknown: one, or those whose lease has ended. */
const lose = (world: Pick<OpenWorld, "store">, nowMs: number, placingId: string | null, limit = 10) =>
  world.store.losePlacings({ placingId, leasedUntilMs: nowMs, nowMs, limit });

/** The operational events in the feed of the account. */
async function unknownsInFeed(world: OpenWorld) {
  const query = { accountId: (await world.account()).id, limit: 50, cursor: null, sinceMs: null, callSid: null };
  return (await world.store.readFeed({ ...query, types: ["call.unknown"], orTerminal: false })).data.map(({ event }) => event);
}

const answer = () => ({ sealed: new TextEncoder().encode("12345678 more than ten bytes"), deliveryId: null, watchIds: [] });

/** Commits the watch of a placing with an answer under its key. */
async function settle(world: OpenWorld, draft: PlacingDraft, from: SettledPlacing["from"], callSid: string) {
  const watch = await world.watchDraft(callSid, { placing: { id: draft.id, from, by: null, lastDigits: null } });
  const claim = {
    ...claimWith({ id: draft.keyHash, accountId: draft.accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs + month }),
    hasOwnRoom: true,
  };
  const run = await world.store
    .underKey(claim)
    .registerWatches([watch], ([result]) =>
      result?.kind === "placing_settled" ? null : { sealed: new TextEncoder().encode("12345678answer"), deliveryId: null, watchIds: [] },
    );
  return { watch, claim, result: only(expectKind(run, "ran").result) };
}

export function placingsSuite(backend: StoreBackend): void {
  describe("placings", () => {
    const open = worlds(backend);

    it("hold their key, for one intent alone, until it is dropped", async () => {
      const world = await open();
      const draft = await intend(world, key);
      const { accountId, id: placingId, keyHash } = draft;
      expect(await world.store.createPlacing(draft)).toEqual({ kind: "created" });
      expect(await world.store.createPlacing(placingDraft(accountId, world.nowMs, key))).toEqual({ kind: "key_used" });
      expect(await world.store.findPlacing({ accountId, keyHash })).toMatchObject({ placing: { id: placingId, state: "sending" } });
      const other = await world.account("other");
      expect(await world.store.createPlacing(placingDraft(other.id, world.nowMs, key))).toEqual({ kind: "created" });
      await world.store.dropPlacing({ accountId: other.id, placingId });
      expect(await states(world)).toEqual(["sending"]);
      await world.store.dropPlacing({ accountId, placingId });
      expect(await world.store.findPlacing({ accountId, keyHash })).toBeNull();
      await intend(world, key);
    });

    it("of several requests under one key at the same time are one", async () => {
      const world = await open();
      const beside = await world.beside();
      const { id } = await world.account();
      const results = await Promise.all(
        Array.from({ length: 6 }, (_, n) => (n % 2 === 0 ? world : beside).store.createPlacing(placingDraft(id, world.nowMs, key))),
      );
      expect(results.filter(({ kind }) => kind === "created")).toHaveLength(1);
      expect(results.filter(({ kind }) => kind === "key_used")).toHaveLength(5);
    });

    it("are limited a minute and a day, those of the sandbox aside", async () => {
      const world = await open();
      const limits = { perMinute: 2, perDay: 3 };
      const { id } = await world.account();
      const next = (given: Partial<PlacingDraft> = {}) => world.store.createPlacing(placingDraft(id, world.nowMs, { limits, ...given }));
      for (let n = 0; n < 3; n++) expect(await next({ limits: null, sourceName: "sandbox" })).toEqual({ kind: "created" });
      for (let n = 0; n < 2; n++) expect(await next()).toEqual({ kind: "created" });
      world.pass(10 * second);
      expect(await next()).toEqual({ kind: "limited", limit: "perMinute", retryAfterMs: 50 * second });
      world.pass(minute);
      expect(await next()).toEqual({ kind: "created" });
      world.pass(minute);
      expect(await next()).toMatchObject({ kind: "limited", limit: "perDay" });
      world.pass(day);
      expect(await next()).toEqual({ kind: "created" });
    });

    it("that are only checked leave nothing", async () => {
      const world = await open();
      const { id } = await world.account();
      expect(await world.store.createPlacing(placingDraft(id, world.nowMs, { isCheckOnly: true }))).toEqual({ kind: "checked" });
      expect(await states(world)).toEqual([]);
      expect(await world.store.listEndpoints({ accountId: id, limit: 5, cursor: null })).toMatchObject({ data: [] });
    });

    it("whose outcome is not known make an event, whether or not a hook names it", async () => {
      const world = await open();
      const draft = await intend(world);
      const lost = await lose(world, world.nowMs, draft.id);
      expect(lost.placings).toMatchObject([{ id: draft.id, state: "unknown" }]);
      expect(lost.jobs).toEqual([]);
      expect(lost.notices).toMatchObject([{ accountId: draft.accountId, eventType: "call.unknown" }]);
      expect(await unknownsInFeed(world)).toMatchObject([
        {
          type: "call.unknown",
          data: {
            placingId: draft.id,
            source: "default",
            state: "unknown",
            metadata: draft.metadata,
            idempotencyKey: draft.idempotencyKey,
          },
        },
      ]);
      await world.hook("https://hooks.example/ops", { events: ["call.unknown"] });
      await world.hook("https://hooks.example/calls", { events: ["call.*"] });
      const named = await lose(world, world.nowMs, (await intend(world)).id);
      expect(named.jobs.map(({ target }) => target.url)).toEqual(["https://hooks.example/ops"]);
      expect((await lose(world, world.nowMs, draft.id)).placings).toEqual([]);
      expect(await unknownsInFeed(world)).toHaveLength(2);
    });

    it("whose process has ended become unknown with their lease, once, however many servers look", async () => {
      const world = await open();
      const beside = await world.beside();
      const drafts = [];
      for (let n = 0; n < 3; n++) drafts.push(await intend(world));
      world.pass(placingLeaseMs - 1);
      expect((await lose(world, world.nowMs, null)).placings).toEqual([]);
      expect(await states(world)).toEqual(["sending", "sending", "sending"]);
      world.pass(1);
      expect((await lose(world, world.nowMs, null, 1)).placings).toHaveLength(1);
      const both = await Promise.all([lose(world, world.nowMs, null), lose(beside, world.nowMs, null)]);
      expect(both.flatMap(({ placings }) => placings)).toHaveLength(2);
      expect(await unknownsInFeed(world)).toHaveLength(3);
      expect(await states(world)).toEqual(["unknown", "unknown", "unknown"]);
    });

    it("are settled by a SID with their watch and its answer", async () => {
      const world = await open();
      const draft = await intend(world, key);
      const { watch, claim, result } = await settle(world, draft, "sending", "OUT-placed");
      expect(result).toMatchObject({ kind: "created", view: { watch: { id: watch.id, callSid: "OUT-placed" } } });
      const query = { accountId: draft.accountId, keyHash: draft.keyHash };
      const placed = { state: "placed", callSid: "OUT-placed", watchId: watch.id };
      expect(await world.store.findPlacing(query)).toMatchObject({ placing: placed, hasWatch: true });
      expect(await world.store.findStoredAnswer(claim)).toMatchObject({ kind: "stored" });
      const again = await world.watchDraft("OUT-again", { placing: { id: draft.id, from: "sending", by: null, lastDigits: null } });
      expect(await world.store.registerWatches([again])).toEqual([{ kind: "placing_settled" }]);
      expect((await lose(world, world.nowMs, draft.id)).placings).toEqual([]);
      // The key outlives the watch.
      await world.store.removeWatch({ by: null, accountId: draft.accountId, watchId: watch.id, purge: true, nowMs: world.nowMs });
      expect(await world.store.findPlacing(query)).toMatchObject({ placing: placed, hasWatch: false });
      expect(await world.store.findStoredAnswer(claim)).toBeNull();
    });

    it("that are unknown are settled once: by a SID, or as one that did not ring", async () => {
      const world = await open();
      const [found, silent] = [await intend(world), await intend(world, key)];
      const { accountId } = silent;
      for (const { id } of [found, silent]) await lose(world, world.nowMs, id);
      expect((await settle(world, found, "unknown", "OUT-found")).result.kind).toBe("created");
      const free = (placingId: string, isCheckOnly = false) =>
        world.store.freePlacing({ by: null, nowMs: world.nowMs, accountId, placingId, isCheckOnly });
      expect(await free(found.id)).toBe(false);
      expect(await free(silent.id, true)).toBe(false);
      expect(await free(silent.id)).toBe(true);
      expect(await free(silent.id)).toBe(false);
      expect(await world.store.getPlacing(accountId, silent.id)).toMatchObject({
        placing: { state: "resolved", callSid: null, watchId: null },
        sealedRequest: null,
        keyHash: null,
      });
      expect(await states(world)).toEqual(["resolved", "resolved"]);
      await intend(world, key);
    });

    it("are listed newest first and by their state, each account's own", async () => {
      const world = await open();
      const drafts = [];
      for (let n = 0; n < 3; n++) drafts.push(await intend(world, { nowMs: world.pass(second) }));
      const [oldest, , newest] = drafts;
      await lose(world, world.nowMs, oldest?.id ?? "");
      const { id: accountId } = await world.account();
      const page = { accountId, limit: 2, cursor: null, state: null };
      const first = await world.store.listPlacings(page);
      expect(first.data[0]).toMatchObject({ id: newest?.id, state: "sending" });
      const last = await world.store.listPlacings({ ...page, cursor: first.nextCursor });
      expect(last).toMatchObject({ data: [{ id: oldest?.id, state: "unknown" }], nextCursor: null });
      expect((await world.store.listPlacings({ ...page, state: "unknown" })).data).toHaveLength(1);
      const other = await world.account("other");
      expect(await world.store.listPlacings({ ...page, accountId: other.id })).toMatchObject({ data: [] });
      expect(await world.store.getPlacing(other.id, newest?.id ?? "")).toBeNull();
      expect(
        await world.store.freePlacing({
          by: null,
          nowMs: world.nowMs,
          accountId: other.id,
          placingId: oldest?.id ?? "",
          isCheckOnly: false,
        }),
      ).toBe(false);
    });

    it("store their answers in room of their own", async () => {
      const world = await open();
      const draft = await intend(world);
      await settle(world, draft, "sending", "OUT-placed");
      const { accountId } = draft;
      const recovery = { by: null, accountId, endpointId: "ep_unknown", sinceMs: 0, untilMs: 1, nowMs: world.nowMs };
      const claim = claimWith({ id: "a", accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs + hour, maxStoredBytes: 10 });
      expect((await world.store.underKey(claim).recover(recovery, answer)).kind).toBe("ran");
      expect((await world.store.underKey({ ...claim, id: "b" }).recover(recovery, answer)).kind).toBe("no_room");
      // A placing needs none of the room, which others have taken.
      expect((await world.store.underKey({ ...claim, id: "c", hasOwnRoom: true }).recover(recovery, answer)).kind).toBe("ran");
    });

    it("are there after a restart, and count for a week", async () => {
      const world = await open();
      const draft = await intend(world, key);
      if (backend.durable) await world.restart();
      const clean = () => world.store.deleteExpired({ beforeMs: world.nowMs, nowMs: world.nowMs, limit: 10 });
      await lose(world, world.nowMs + placingLeaseMs, null);
      world.pass(7 * day - minute);
      await clean();
      expect(await world.store.findPlacing({ accountId: draft.accountId, keyHash: draft.keyHash })).not.toBeNull();
      // Its id may be ahead of the clock, and it is kept by its id.
      world.pass(400 * day);
      await clean();
      expect(await world.store.findPlacing({ accountId: draft.accountId, keyHash: draft.keyHash })).toBeNull();
    });
  });
}

import { describe, expect, it } from "vitest";
import { CursorGoneError } from "../../src/domain/errors.ts";
import { latestCursor } from "../../src/domain/events/feed-place.ts";
import type { FeedQuery } from "../../src/ports/stores/read-store.ts";
import { day, expectKind, minute, only } from "../harness/store-drafts.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

const everything = { limit: 50, cursor: null, sinceMs: null, types: null, orTerminal: false, callSid: null };

const reading = async (world: OpenWorld) => {
  const { id: accountId } = await world.account();
  return async (given: Partial<FeedQuery> = {}) => {
    const { data, nextCursor } = await world.store.readFeed({ accountId, ...everything, ...given });
    return { sids: data.map(({ event }) => ("callSid" in event.data ? event.data.callSid : null)), nextCursor };
  };
};
const end = async (world: OpenWorld, callSid: string) => {
  await world.watch(callSid);
  for (const job of (await world.see(callSid, "success")).jobs) await world.record(job);
};
const clean = async (world: OpenWorld, retentionMs = 30 * day) => {
  const request = { beforeMs: world.nowMs - retentionMs, nowMs: world.nowMs, limit: 100 };
  while ((await world.store.deleteExpired(request)).more);
};

/** Cursors of the feed: which are good, and where the feed begins. */
export function feedSuite(backend: StoreBackend): void {
  describe("cursors of the feed", () => {
    const open = worlds(backend);

    it("are refused if they are of another database", async () => {
      const [world, other] = [await open(), await open()];
      const read = await reading(world);
      for (const one of [world, other]) await end(one, "OUT-1");
      const { nextCursor } = await (await reading(other))();
      await expect(read({ cursor: nextCursor })).rejects.toThrow(CursorGoneError);
      await expect(read({ cursor: nextCursor, sinceMs: 0 })).rejects.toThrow(CursorGoneError);
    });

    it("latest is the end, over all types, also behind deleted events", async () => {
      const world = await open();
      const read = await reading(world);
      const empty = await read({ cursor: latestCursor });
      expect(empty).toEqual({ sids: [], nextCursor: (await read()).nextCursor });
      for (const sid of ["OUT-1", "OUT-2"]) await end(world, sid);
      const latest = await read({ cursor: latestCursor, limit: 1, types: ["call.queued"] });
      expect(latest).toEqual({ sids: [], nextCursor: (await read()).nextCursor });
      await end(world, "OUT-3");
      expect((await read({ cursor: latest.nextCursor })).sids).toEqual(["OUT-3"]);
      expect((await read({ cursor: empty.nextCursor })).sids).toEqual(["OUT-1", "OUT-2", "OUT-3"]);
      world.pass(30 * day + 1);
      await clean(world);
      const after = await read({ cursor: latestCursor });
      await end(world, "OUT-4");
      expect((await read({ cursor: after.nextCursor })).sids).toEqual(["OUT-4"]);
    });

    it("are refused behind the newest event that retention deleted; the start and since begin there", async () => {
      const world = await open();
      const read = await reading(world);
      const begin = await read();
      await world.watch("OUT-long", { expiresAtMs: world.nowMs + 90 * day });
      for (const job of (await world.see("OUT-long", "queued")).jobs) await world.record(job);
      const beforeDeleted = await read();
      await end(world, "OUT-1");
      const atDeleted = await read();
      world.pass(minute);
      await end(world, "OUT-2");
      world.pass(30 * day - minute + 1);
      await clean(world);
      for (const { nextCursor } of [begin, beforeDeleted]) await expect(read({ cursor: nextCursor })).rejects.toThrow(CursorGoneError);
      // The event of the long watch is older than the deleted one.
      expect((await read()).sids).toEqual(["OUT-2"]);
      expect((await read({ sinceMs: 0 })).sids).toEqual(["OUT-2"]);
      expect((await read({ sinceMs: 0, types: ["call.queued"] })).sids).toEqual([]);
      expect((await read({ cursor: atDeleted.nextCursor })).sids).toEqual(["OUT-2"]);
      world.pass(minute);
      await clean(world);
      const { nextCursor } = await read();
      await expect(read({ cursor: atDeleted.nextCursor })).rejects.toThrow(CursorGoneError);
      await end(world, "OUT-3");
      expect((await read({ cursor: nextCursor })).sids).toEqual(["OUT-3"]);
    });

    it("are refused behind a deleted event that was about no watch", async () => {
      const world = await open();
      const read = await reading(world);
      const { view } = await world.watch("OUT-1", { expiresAtMs: world.nowMs + 90 * day });
      const { accountId, endpointId } = view.watch;
      const begin = await read();
      const created = await world.store.createTest({ accountId, endpointId: endpointId ?? "", nowMs: world.nowMs });
      await world.record(expectKind(created, "claimed").job);
      const latest = await read({ cursor: latestCursor });
      world.pass(30 * day + 1);
      await clean(world);
      await expect(read({ cursor: begin.nextCursor })).rejects.toThrow(CursorGoneError);
      expect((await read({ cursor: latest.nextCursor })).sids).toEqual([]);
    });

    it("stay good when events of other accounts are deleted, and when a purge erases some", async () => {
      const world = await open();
      const read = await reading(world);
      const begin = await read();
      const other = await world.account("other");
      await world.watch("OUT-other", { accountId: other.id });
      for (const job of (await world.see("OUT-other", "success")).jobs) await world.record(job);
      const purged = (await world.watch("OUT-1", { expiresAtMs: world.nowMs + 90 * day })).view.watch;
      await world.see("OUT-1", "queued");
      world.pass(30 * day + 1);
      await end(world, "OUT-2");
      await clean(world);
      await world.store.removeWatch({ by: null, accountId: purged.accountId, watchId: purged.id, purge: true, nowMs: world.nowMs });
      expect((await read({ cursor: begin.nextCursor })).sids).toEqual(["OUT-2"]);
    });

    it("lead on over a thousand events that a mark hides, without an empty page before the end", async () => {
      const world = await open({ marks: { threshold: 40, portion: 10 } });
      const read = await reading(world);
      const views = [];
      for (let n = 0; n < 21; n++) views.push((await world.watch("OUT-1", { url: `https://crm.example/hooks/${n}` })).view);
      for (let n = 0; n < 50; n++) await world.see("OUT-1", n % 2 === 0 ? "queued" : "calling");
      await end(world, "OUT-2");
      for (const { watch } of views)
        await world.store.removeWatch({ by: null, accountId: watch.accountId, watchId: watch.id, purge: true, nowMs: world.nowMs });
      for (const types of [null, ["call.queued", "call.calling", "call.success"] as const]) {
        const page = await read({ limit: 1, types });
        expect(page.sids).toEqual(["OUT-2"]);
        expect((await read({ limit: 1, types, cursor: page.nextCursor })).sids).toEqual([]);
      }
    });

    it.runIf(backend.durable)("stay good over restarts, also of starts without an event", async () => {
      const world = await open();
      const read = await reading(world);
      const begin = await read();
      await end(world, "OUT-1");
      const cursors = [begin.nextCursor, (await read()).nextCursor];
      for (let n = 2; n < 6; n++) {
        await world.restart();
        if (n % 2 === 0) await world.restart();
        const { nextCursor } = await read();
        await end(world, `OUT-${n}`);
        expect((await read({ cursor: nextCursor })).sids).toEqual([`OUT-${n}`]);
        cursors.push(nextCursor);
      }
      expect((await read({ cursor: cursors[0] ?? "" })).sids).toEqual(["OUT-1", "OUT-2", "OUT-3", "OUT-4", "OUT-5"]);
      expect((await read({ cursor: cursors[1] ?? "" })).sids).toEqual(["OUT-2", "OUT-3", "OUT-4", "OUT-5"]);
    });

    it.runIf(backend.durable)("stay good for a week if nothing is retained", async () => {
      const world = await open();
      const read = await reading(world);
      const { nextCursor } = await read();
      await world.restart();
      await clean(world, 0);
      expect((await read({ cursor: nextCursor })).sids).toEqual([]);
    });

    it("name what they came from only once", async () => {
      const world = await open();
      const read = await reading(world);
      await end(world, "OUT-1");
      const { nextCursor } = await read();
      const forged = Buffer.from(
        Buffer.from(nextCursor, "base64url")
          .toString()
          .replace(/^./, (digit) => (digit === "0" ? "1" : "0")),
      );
      await expect(read({ cursor: forged.toString("base64url") })).rejects.toThrow(CursorGoneError);
      expect(only((await read()).sids)).toBe("OUT-1");
    });
  });
}

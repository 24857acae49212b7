import { describe, expect, it } from "vitest";
import { newId } from "../../src/domain/ids.ts";
import type { SourceDraft } from "../../src/ports/stores/source-store.ts";
import { day, expectKind, hour, startMs } from "../harness/store-drafts.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

const draftOf = (name: string, given: Partial<SourceDraft> = {}): SourceDraft => ({
  by: null,
  id: newId("src", startMs),
  name,
  accountId: null,
  kind: "polyai-legacy",
  baseUrl: "https://api.uk-1.platform.polyai.app",
  sealedCredential: new Uint8Array([1, 2, 3]),
  agentId: null,
  environment: null,
  definition: null,
  statusMap: null,
  maxPollsPerSecond: 0.5,
  nowMs: startMs,
  ...given,
});

/** Who was sent an operational event of a source, by the URLs of the hooks. */
async function accountsNotified(world: OpenWorld, sourceName: string): Promise<readonly string[]> {
  const event = {
    type: "source.suspended",
    sourceName,
    state: "suspended",
    reason: "unauthorized",
    nowMs: world.nowMs,
    afterAccountId: null,
    limit: 100,
  } as const;
  const { jobs } = await world.store.publishSourceEvent(event);
  return jobs.map((job) => job.target.url).toSorted();
}

export function sourcesSuite(backend: StoreBackend): void {
  describe("sources", () => {
    const open = worlds(backend);

    it("are kept as they were set, by name", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const shared = draftOf("shared");
      const definition = '{"url":"https://api.example/{id}"}';
      const own = draftOf("acme", {
        definition,
        statusMap: '{"done":"success","busy":null}',
        kind: "polyai-agents",
        agentId: "agent",
        environment: "live",
        accountId,
        maxPollsPerSecond: 50,
      });
      for (const draft of [shared, own])
        expect(await world.store.setSource(draft, null)).toMatchObject({ kind: "set", source: { revision: 1 } });
      const { nowMs: _, by: __, ...kept } = own;
      expect(await world.store.listSources()).toEqual([
        { ...kept, revision: 1, removedAtMs: null, createdAtMs: startMs, updatedAtMs: startMs },
        expect.objectContaining({ name: "shared", accountId: null, maxPollsPerSecond: 0.5 }),
      ]);
    });

    it("are changed at the revision that was read, and at no other", async () => {
      const world = await open();
      const draft = draftOf("shared");
      await world.store.setSource(draft, null);
      const faster = {
        ...draft,
        statusMap: '{"a":"queued"}',
        maxPollsPerSecond: 9,
        sealedCredential: new Uint8Array([4]),
        nowMs: startMs + hour,
      };
      expect(expectKind(await world.store.setSource(faster, 1), "set").source).toMatchObject({
        revision: 2,
        statusMap: '{"a":"queued"}',
        maxPollsPerSecond: 9,
        sealedCredential: new Uint8Array([4]),
        createdAtMs: startMs,
        updatedAtMs: startMs + hour,
      });
      expect(await world.store.setSource({ ...draft, baseUrl: "https://late.example" }, 1)).toEqual({ kind: "conflict" });
      expect(await world.store.listSources()).toMatchObject([{ revision: 2, baseUrl: draft.baseUrl }]);
    });

    it("have a name and an owner that other accounts cannot take", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const draft = draftOf("shared");
      await world.store.setSource(draft, null);
      expect(await world.store.setSource(draftOf("shared", { accountId }), null)).toEqual({ kind: "conflict" });
      expect(await world.store.setSource({ ...draft, accountId }, 1)).toEqual({ kind: "conflict" });
      expect(await world.store.setSource({ ...draft, name: "renamed" }, 1)).toEqual({ kind: "conflict" });
      expect(await world.store.setSource(draftOf("unheard-of"), 1)).toEqual({ kind: "conflict" });
      expect(await world.store.listSources()).toMatchObject([{ name: "shared", accountId: null, revision: 1 }]);
    });

    it("are removed unless their calls are watched, and keep their name for the retention", async () => {
      const world = await open();
      await world.store.setSource(draftOf("shared"), null);
      await world.watch("OUT-1", { sourceName: "shared" });
      await world.watch("OUT-2");
      const remove = (name: string, force = false) => world.store.removeSource({ by: null, name, force, nowMs: world.nowMs });
      expect(await remove("shared")).toEqual({ kind: "busy", activeWatches: 1, placings: 0 });
      expect(await remove("unheard-of", true)).toEqual({ kind: "unknown" });
      expect(await remove("shared", true)).toEqual({ kind: "removed", activeWatches: 1 });
      expect(await remove("shared", true)).toEqual({ kind: "unknown" });
      expect(await world.store.listSources()).toMatchObject([{ name: "shared", revision: 2, removedAtMs: world.nowMs }]);
      expect(await world.store.setSource(draftOf("shared"), null)).toEqual({ kind: "conflict" });
      expect(await world.store.setSource(draftOf("shared"), 2)).toEqual({ kind: "conflict" });
      const clean = () => world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 100 });
      const { jobs } = await world.commit("OUT-1", [{ kind: "end", endReason: "lost", spares: null }]);
      for (const job of jobs) await world.record(job);
      world.pass(29 * day);
      await clean();
      expect(await world.store.listSources()).toHaveLength(1);
      world.pass(2 * day);
      while ((await clean()).deleted > 0);
      expect(await world.store.listSources()).toEqual([]);
      expect(await world.store.setSource(draftOf("shared"), null)).toMatchObject({ kind: "set", source: { removedAtMs: null } });
    });

    it("that were removed are open to no account", async () => {
      const world = await open();
      await world.account();
      await world.hook("https://hook.example/", { events: ["source.suspended"] });
      await world.store.setSource(draftOf("shared"), null);
      expect(await accountsNotified(world, "shared")).toEqual(["https://hook.example/"]);
      await world.store.removeSource({ by: null, name: "shared", force: false, nowMs: world.nowMs });
      expect(await accountsNotified(world, "shared")).toEqual([]);
    });

    it("notify the accounts that may use them, and no other", async () => {
      const world = await open();
      const [mine, other] = [await world.account(), await world.account("other")];
      const plain = { ...mine, id: newId("acc", startMs), name: "plain", usesDefaultSource: false };
      await world.store.ensureAccount(plain);
      await world.account("without hooks");
      for (const { id: accountId, name } of [mine, other, plain])
        await world.hook(`https://${name}.example/`, { accountId, events: ["source.suspended"] });
      await world.hook("https://deaf.example/", { events: ["source.resumed"] });
      await world.store.setSource(draftOf("shared"), null);
      await world.store.setSource(draftOf("own", { accountId: other.id }), null);
      const [ofDefault, ofOther, ofPlain] = ["https://default.example/", "https://other.example/", "https://plain.example/"];
      expect(await accountsNotified(world, "default")).toEqual([ofDefault, ofOther]);
      expect(await accountsNotified(world, "shared")).toEqual([ofDefault, ofOther, ofPlain]);
      expect(await accountsNotified(world, "sandbox")).toEqual([ofDefault, ofOther, ofPlain]);
      expect(await accountsNotified(world, "own")).toEqual([ofOther]);
      expect(await accountsNotified(world, "unheard-of")).toEqual([]);
    });
  });
}

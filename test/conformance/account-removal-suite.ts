import { commandLine } from "../../src/domain/audit.ts";
import { keyScopes } from "../../src/domain/secrets/key-scopes.ts";
import { describe, expect, it } from "vitest";
import { newId } from "../../src/domain/ids.ts";
import { expectCountersRight } from "../harness/counters.ts";
import { answered, hour, minute, placingDraft, secretDraft, startMs } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";

const mine = "https://receiver.example/hook";
const portions = { marks: { threshold: 5, portion: 2 } };

const remove = (world: OpenWorld, accountId: string) => world.store.removeAccount({ accountId, nowMs: world.nowMs });
const sweep = (world: OpenWorld, accountId: string) => world.store.sweepMark({ accountId, nowMs: world.nowMs });

/** An account `acme` with rows of every kind, beside `default`, which shares a call with it. */
async function withAcme(world: OpenWorld) {
  const { store, nowMs } = world;
  const keeper = await world.account();
  const acme = await world.account("acme");
  const own = { accountId: acme.id, url: mine };
  await store.createKey({
    by: commandLine,
    id: newId("key", startMs),
    accountId: acme.id,
    name: "crm",
    fingerprints: ["key of acme"],
    scopes: keyScopes,
    expiresAtMs: null,
    nowMs,
  });
  await store.setDefaultSecret({ by: null, accountId: acme.id, secret: secretDraft("default of acme"), nowMs });
  await world.hook("https://hooks.example/acme", { accountId: acme.id });
  await world.hook("https://hooks.example/keeper");
  for (const n of [1, 2, 3, 4, 5]) await world.watch(`OUT-own-${n}`, { ...own, url: `${mine}/${n}` });
  await world.watch("OUT-shared", own);
  await world.watch("OUT-shared", { url: "https://keeper.example/" });
  for (const sid of ["OUT-own-1", "OUT-own-2", "OUT-shared"])
    for (const status of ["queued", "calling"])
      for (const job of (await world.see(sid, status)).jobs) await world.record(job, status === "queued" ? answered(500) : undefined);
  await store.createPlacing(placingDraft(acme.id, nowMs));
  await store.setSource(
    {
      by: null,
      id: newId("src", startMs),
      name: "of acme",
      accountId: acme.id,
      kind: "polyai-legacy",
      baseUrl: "https://api.example",
      sealedCredential: new Uint8Array([1]),
      agentId: null,
      environment: null,
      definition: null,
      statusMap: null,
      maxPollsPerSecond: 10,
      nowMs,
    },
    null,
  );
  return { keeper, acme };
}

export function accountRemovalSuite(backend: StoreBackend): void {
  describe("the removal of an account", () => {
    const open = worlds(backend);

    it("ends its keys and sources at once, and nothing is erased before the requests under way have ended", async () => {
      const world = await open(portions);
      const { acme } = await withAcme(world);
      expect(await world.store.findAccountByKey(["key of acme"], null)).not.toBeNull();
      expect(await remove(world, acme.id)).toEqual({ kind: "removing" });
      expect(await world.store.findAccountByKey(["key of acme"], null)).toBeNull();
      expect(await world.store.listDisabledAccounts()).toEqual([acme.id]);
      expect(await world.store.listSources()).toMatchObject([{ name: "of acme", removedAtMs: world.nowMs }]);
      expect(await sweep(world, acme.id)).toEqual({ kind: "nothing" });
      expect(await remove(world, acme.id)).toEqual({ kind: "being_removed" });
      for (const isDisabled of [true, false])
        expect(await world.store.setAccountState({ by: null, accountId: acme.id, isDisabled, nowMs: world.nowMs })).toEqual({
          kind: "being_removed",
        });
      expect(await remove(world, "acc_0000000000a")).toEqual({ kind: "unknown" });
    });

    it("erases everything of it in portions, and nothing of others; then the name is free", async () => {
      const world = await open(portions);
      const { keeper, acme } = await withAcme(world);
      const before = await shown(world, keeper.id);
      await remove(world, acme.id);
      world.pass(minute);
      let rows = 0;
      for (let swept = await sweep(world, acme.id); swept.kind === "swept"; swept = await sweep(world, acme.id)) {
        expect(swept.rows).toBeLessThanOrEqual(portions.marks.portion);
        rows += swept.rows;
        await expectCountersRight(world.store);
        if (backend.durable && rows % 5 === 0) await world.restart();
        expect(await shown(world, keeper.id)).toEqual(before);
      }
      expect(rows).toBeGreaterThan(20);
      expect(await world.store.listMarkedAccounts(5)).toEqual([]);
      expect(await world.store.getAccount(acme.id)).toBeNull();
      expect((await world.store.listAccounts(world.nowMs)).map(({ name }) => name)).toEqual(["default"]);
      expect(await world.store.listSources()).toEqual([]);
      expect(await world.store.readStats()).toMatchObject({ watchesByStatus: { active: 1 } });
      const successor = await world.account("acme");
      expect(successor.id).not.toBe(acme.id);
      expect(await world.store.listKeys(successor.id)).toEqual([]);
    });

    it("takes the place of the account's other marks", async () => {
      const world = await open(portions);
      const { acme } = await withAcme(world);
      for (let n = 0; n < 8; n++) await world.watch(`OUT-gone-${n}`, { accountId: acme.id, url: "https://gone.example/" });
      const [job] = (await world.see("OUT-gone-1", "queued")).jobs;
      if (job !== undefined) await world.record(job, answered(410));
      expect(await world.store.listMarkedAccounts(5)).toEqual([acme.id]);
      await remove(world, acme.id);
      world.pass(minute);
      while ((await sweep(world, acme.id)).kind === "swept");
      expect(await world.store.getAccount(acme.id)).toBeNull();
    });

    it("erases what others make it see meanwhile", async () => {
      const world = await open(portions);
      const { acme, keeper } = await withAcme(world);
      await remove(world, acme.id);
      world.pass(minute);
      await sweep(world, acme.id);
      const seen = await world.see("OUT-shared", "success");
      expect(seen.notices.map(({ accountId }) => accountId)).toContain(keeper.id);
      await world.release(seen.jobs);
      while ((await sweep(world, acme.id)).kind === "swept");
      expect(await world.store.getAccount(acme.id)).toBeNull();
      const left = await world.store.getCall({ accountId: keeper.id, sourceName: "default", callSid: "OUT-shared" });
      expect(left).toMatchObject({ status: { status: "success" } });
    });

    it("lets an attempt on the wire end without a record", async () => {
      const world = await open(portions);
      const { acme } = await withAcme(world);
      const [job] = (await world.see("OUT-own-4", "queued")).jobs;
      await remove(world, acme.id);
      world.pass(hour);
      while ((await sweep(world, acme.id)).kind === "swept");
      if (job === undefined) throw new Error("no job");
      expect((await world.attempt(job)).kind).not.toBe("recorded");
    });
  });
}

/** What an account sees of its own. */
async function shown(world: OpenWorld, accountId: string) {
  const page = { accountId, limit: 100, cursor: null };
  const { store } = world;
  return {
    watches: await store.listWatches({ ...page, status: null, callSid: null }),
    endpoints: (await store.listEndpoints(page)).data.map(({ endpoint }) => endpoint.id),
    hooks: await store.listHooks(page),
    deliveries: await store.listDeliveries({ ...page, endpointId: null, watchId: null, status: null }),
    feed: (await store.readFeed({ ...page, sinceMs: null, types: null, orTerminal: false, callSid: null })).data,
  };
}

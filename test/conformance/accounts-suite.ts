import { describe, expect, it } from "vitest";
import { mayNotPlace } from "../../src/domain/calls/placing.ts";
import { keyScopes } from "../../src/domain/secrets/key-scopes.ts";
import { encodeId, newId } from "../../src/domain/ids.ts";
import type { Account, ApiKeyDraft } from "../../src/ports/stores/account-store.ts";
import { day, hour, placingDraft, startMs } from "../harness/store-drafts.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

const accountDraft = (name: string): Account => ({
  id: newId("acc", startMs),
  name,
  usesDefaultSource: false,
  sealedSigningKey: new Uint8Array([1, 2, 3]),
  publicKey: `whpk_${name}`,
  placing: mayNotPlace,
  disabledAtMs: null,
  disablings: 0,
  createdAtMs: startMs,
});

const keyDraft = (accountId: string, fingerprint: string, name = "command line"): ApiKeyDraft => ({
  by: null,
  id: newId("key", startMs),
  accountId,
  name,
  fingerprints: [fingerprint],
  scopes: keyScopes,
  expiresAtMs: null,
  nowMs: startMs,
});

const shownKey = ({ id, accountId, name, scopes, expiresAtMs }: ApiKeyDraft) => ({ id, accountId, name, scopes, expiresAtMs });

/** An account with one key, found by `key of <name>`. */
async function create(world: OpenWorld, name: string) {
  const account = accountDraft(name);
  const key = keyDraft(account.id, `key of ${name}`);
  expect(await world.store.createAccount(account, key)).toEqual({ kind: "created" });
  return { account, key };
}

const minute = Math.floor(startMs / 60_000);
const did = (accountId: string, polls: number, at = minute, lastRequestAtMs: number | null = null) => ({
  accountId,
  minute: at,
  polls,
  lastRequestAtMs,
});
const shown = async (world: OpenWorld, name: string) => (await world.store.listAccounts(world.nowMs)).find((one) => one.name === name);

export function accountsSuite(backend: StoreBackend): void {
  describe("accounts", () => {
    const open = worlds(backend);

    it("are made once by their name", async () => {
      const world = await open();
      const first = await world.account("one");
      expect(first).toMatchObject({
        name: "one",
        usesDefaultSource: true,
        sealedSigningKey: new Uint8Array([1, 2, 3]),
        createdAtMs: startMs,
      });
      expect((await world.account("one")).id).toBe(first.id);
      await world.account("two");
      expect(await world.store.findOldestAccount()).toEqual(first);
      expect(await world.store.getAccount(first.id)).toEqual(first);
      expect(await world.store.getAccount("acc_unknown")).toBeNull();
    });

    it("are created with their first key, or not at all", async () => {
      const world = await open();
      const { account, key } = await create(world, "acme");
      expect(await world.store.findAccountByKey(["key of acme"], null)).toEqual({ account, key: shownKey(key) });
      const second = accountDraft("acme");
      expect(await world.store.createAccount(second, keyDraft(second.id, "another"))).toEqual({ kind: "name_taken", account });
      expect(await world.store.findAccountByKey(["another"], null)).toBeNull();
      expect(await world.store.getAccount(second.id)).toBeNull();
    });

    it("created twice at the same time are one", async () => {
      const world = await open();
      const drafts = [accountDraft("acme"), accountDraft("acme")];
      const results = await Promise.all(drafts.map((draft) => world.store.createAccount(draft, keyDraft(draft.id, draft.id))));
      expect(results.map(({ kind }) => kind).toSorted()).toEqual(["created", "name_taken"]);
    });

    it("are found by id and by name", async () => {
      const world = await open();
      const { account } = await create(world, "acme");
      expect(await world.store.findAccount(account.id)).toEqual(account);
      expect(await world.store.findAccount("acme")).toEqual(account);
      expect(await world.store.findAccount("Acme")).toBeNull();
    });
  });

  describe("the list of accounts", () => {
    const open = worlds(backend);

    it("shows what each has: watches, endpoints, hooks and placings of the day", async () => {
      const world = await open();
      const mine = await world.account();
      await create(world, "acme");
      await world.hook("https://hooks.example/1");
      await world.watch("OUT-1");
      await world.watch("OUT-2", { url: null });
      const nothing = { disabledAtMs: null, pollsPerMinute: 0, placedToday: 0, lastRequestAtMs: null };
      const [first, second] = await world.store.listAccounts(world.nowMs);
      expect(first).toEqual({ id: mine.id, name: "default", activeWatches: 2, endpoints: 2, hooks: 1, ...nothing });
      expect(second).toMatchObject({ name: "acme", activeWatches: 0, endpoints: 0, hooks: 0, ...nothing });
      await world.store.createPlacing(placingDraft(mine.id, world.nowMs));
      await world.store.createPlacing(placingDraft(mine.id, world.nowMs, { sourceName: "sandbox" }));
      expect(await shown(world, "default")).toMatchObject({ placedToday: 1 });
      world.pass(24 * hour);
      expect(await shown(world, "default")).toMatchObject({ placedToday: 0 });
    });

    it("adds up the polls of a minute over all instances, and shows them until the next but one has passed", async () => {
      const world = await open();
      const { id } = await world.account();
      await world.store.recordActivity([did(id, 7), did("acc_0000000000a", 3)]);
      await world.store.recordActivity([did(id, 5)]);
      expect(await shown(world, "default")).toMatchObject({ pollsPerMinute: 12 });
      await world.store.recordActivity([did(id, 4, minute + 1)]);
      await world.store.recordActivity([did(id, 9, minute), did(id, 0, minute + 2)]);
      expect(await shown(world, "default")).toMatchObject({ pollsPerMinute: 4 });
      world.pass(4 * 60_000);
      expect(await shown(world, "default")).toMatchObject({ pollsPerMinute: 0 });
    });

    it("keeps the time of the newest request", async () => {
      const world = await open();
      const { id } = await world.account();
      await world.store.recordActivity([did(id, 0, minute, startMs + 20)]);
      await world.store.recordActivity([did(id, 0, minute, startMs + 10)]);
      await world.store.recordActivity([did(id, 3, minute, null)]);
      expect(await shown(world, "default")).toMatchObject({ lastRequestAtMs: startMs + 20, pollsPerMinute: 3 });
    });
  });

  describe("keys", () => {
    const open = worlds(backend);

    it("of the environment are found under any of their fingerprints, until they are replaced", async () => {
      const world = await open();
      const account = await world.account();
      const keyIds = [1, 2, 3, 4].map((key) => encodeId("key", key));
      const ensure = (n: number, fingerprints: readonly string[]) =>
        world.store.ensureKey({ id: keyIds[n - 1] ?? "", accountId: account.id, name: "environment", fingerprints, nowMs: world.nowMs });
      expect(await ensure(1, ["one"])).toEqual({ kind: "ensured" });
      expect(await world.store.findAccountByKey(["new one", "one"], null)).toMatchObject({
        account,
        key: { id: keyIds[0], name: "environment", scopes: keyScopes, expiresAtMs: null },
      });
      await ensure(2, ["one again", "one"]);
      expect(await world.store.findAccountByKey(["one"], null)).toMatchObject({ key: { id: keyIds[0] } });
      await ensure(3, ["three"]);
      expect(await world.store.findAccountByKey(["one"], null)).toBeNull();
      expect(await world.store.findAccountByKey(["three"], null)).toMatchObject({ key: { id: keyIds[2] } });
      await ensure(4, ["one"]);
      expect(await world.store.findAccountByKey(["one"], null)).toMatchObject({ key: { id: keyIds[0] } });
    });

    it("of the environment leave alone what another account has", async () => {
      const world = await open();
      const { account } = await create(world, "acme");
      const mine = await world.account();
      const environment = (fingerprint: string) => ({
        id: newId("key", startMs),
        accountId: mine.id,
        name: "environment",
        fingerprints: [fingerprint],
        nowMs: startMs,
      });
      await world.store.ensureKey(environment("mine"));
      expect(await world.store.ensureKey(environment("key of acme"))).toEqual({ kind: "belongs_to_another", accountId: account.id });
      expect(await world.store.findAccountByKey(["key of acme"], null)).toMatchObject({ account });
      expect(await world.store.findAccountByKey(["mine"], null)).toMatchObject({ account: mine });
    });

    it("are added, listed oldest first and revoked, each account's own", async () => {
      const world = await open();
      const { account, key } = await create(world, "acme");
      await create(world, "other");
      const second = { ...keyDraft(account.id, "second"), nowMs: world.pass(hour) };
      await world.store.createKey(second);
      expect(await world.store.findAccountByKey(["second"], null)).toMatchObject({ account, key: { id: second.id } });
      const times = { lastUsedAtMs: null, revokedAtMs: null };
      const revoked = { ...shownKey(key), ...times, createdAtMs: startMs, revokedAtMs: world.nowMs };
      expect(await world.store.revokeKey({ by: null, keyId: key.id, accountId: null, nowMs: world.nowMs })).toEqual(revoked);
      expect(await world.store.listKeys(account.id)).toEqual([revoked, { ...shownKey(second), ...times, createdAtMs: world.nowMs }]);
      expect(await world.store.findAccountByKey(["key of acme"], null)).toBeNull();
      expect(await world.store.findAccountByKey(["second"], null)).toMatchObject({ account });
      expect(await world.store.findAccountByKey(["key of other"], null)).not.toBeNull();
      expect(await world.store.listKeys("acc_unknown")).toEqual([]);
    });

    it("revoked twice stay revoked since the first time, and unknown ones are unknown", async () => {
      const world = await open();
      const { key } = await create(world, "acme");
      await world.store.revokeKey({ by: null, keyId: key.id, accountId: null, nowMs: startMs });
      expect(await world.store.revokeKey({ by: null, keyId: key.id, accountId: null, nowMs: startMs + hour })).toMatchObject({
        revokedAtMs: startMs,
      });
      expect(await world.store.revokeKey({ by: null, keyId: "key_unknown", accountId: null, nowMs: startMs })).toBeNull();
    });

    it("are not made by a key that was revoked, also where an instance has not seen it yet", async () => {
      const world = await open();
      const { account } = await create(world, "acme");
      const own = keyDraft(account.id, "own");
      await world.store.createKey(own);
      const madeBy = (fingerprint: string) =>
        world.store.createKey({
          ...keyDraft(account.id, fingerprint),
          by: { kind: "key", id: own.id, name: "own", address: null, forwardedFor: null },
        });
      expect(await madeBy("before")).toEqual({ kind: "created" });
      await world.store.revokeKey({ by: null, keyId: own.id, accountId: account.id, nowMs: startMs });
      expect(await madeBy("after")).toEqual({ kind: "revoked" });
      expect(await world.store.findAccountByKey(["after"], account.id)).toBeNull();
    });

    it("keep their scopes and their end, and those of the operator have no account", async () => {
      const world = await open();
      const { account } = await create(world, "acme");
      const limited = { ...keyDraft(account.id, "limited"), scopes: ["read", "watch"] as const, expiresAtMs: startMs + day };
      const operators = { ...keyDraft("", "operators", "me"), accountId: null, scopes: ["read"] as const };
      for (const draft of [limited, operators]) expect(await world.store.createKey(draft)).toEqual({ kind: "created" });
      expect(await world.store.findAccountByKey(["limited"], account.id)).toEqual({ account, key: shownKey(limited) });
      expect(await world.store.findAccountByKey(["operators"], null)).toEqual({ account: null, key: shownKey(operators) });
      const times = { createdAtMs: startMs, lastUsedAtMs: null, revokedAtMs: null };
      expect(await world.store.listKeys(null)).toEqual([{ ...shownKey(operators), ...times }]);
      expect((await world.store.listKeys(account.id)).map(({ id }) => id)).not.toContain(operators.id);
      expect(
        await world.store.ensureKey({
          id: newId("key", startMs),
          accountId: account.id,
          name: "environment",
          fingerprints: ["operators"],
          nowMs: startMs,
        }),
      ).toEqual({
        kind: "belongs_to_another",
        accountId: null,
      });
    });

    it("of the environment have all scopes and no end, also those that were created with less", async () => {
      const world = await open();
      const { account } = await create(world, "acme");
      await world.store.createKey({ ...keyDraft(account.id, "limited"), scopes: ["read"], expiresAtMs: startMs + day });
      await world.store.ensureKey({
        id: newId("key", startMs),
        accountId: account.id,
        name: "environment",
        fingerprints: ["limited"],
        nowMs: startMs,
      });
      expect(await world.store.findAccountByKey(["limited"], null)).toMatchObject({
        key: { name: "environment", scopes: keyScopes, expiresAtMs: null },
      });
    });

    it("are listed in pages, newest first, and revoked by their own account alone", async () => {
      const world = await open();
      const { account, key } = await create(world, "acme");
      const { account: other } = await create(world, "other");
      const second = keyDraft(account.id, "second");
      await world.store.createKey(second);
      const first = await world.store.pageKeys({ accountId: account.id, limit: 1, cursor: null });
      expect(first.data.map(({ id }) => id)).toEqual([second.id]);
      const next = await world.store.pageKeys({ accountId: account.id, limit: 1, cursor: first.nextCursor });
      expect([next.data.map(({ id }) => id), next.nextCursor]).toEqual([[key.id], null]);
      expect(await world.store.revokeKey({ by: null, keyId: key.id, accountId: other.id, nowMs: startMs })).toBeNull();
      expect(await world.store.findAccountByKey(["key of acme"], null)).not.toBeNull();
      expect(await world.store.revokeKey({ by: null, keyId: key.id, accountId: account.id, nowMs: startMs })).toMatchObject({ id: key.id });
      expect(await world.store.findAccountByKey(["key of acme"], null)).toBeNull();
    });

    it("are at most a thousand that are valid", async () => {
      const world = await open();
      const { account, key } = await create(world, "acme");
      const drafts = Array.from({ length: 999 }, (_, n) => ({
        ...keyDraft(account.id, `key ${n}`),
        expiresAtMs: n === 0 ? startMs + 1 : null,
      }));
      for (const draft of drafts) await world.store.createKey(draft);
      const one = (nowMs: number) => world.store.createKey({ ...keyDraft(account.id, `one more ${nowMs}`), nowMs });
      expect(await one(startMs)).toEqual({ kind: "too_many" });
      expect(await one(startMs + 1)).toEqual({ kind: "created" });
      expect(await one(startMs + 2)).toEqual({ kind: "too_many" });
      await world.store.revokeKey({ by: null, keyId: key.id, accountId: null, nowMs: startMs });
      expect(await one(startMs + 3)).toEqual({ kind: "created" });
    });

    it("are noted as used, never back in time", async () => {
      const world = await open();
      const { account, key } = await create(world, "acme");
      const note = (usedAtMs: number) =>
        world.store.noteKeyUses([
          { keyId: key.id, usedAtMs },
          { keyId: "key_unknown", usedAtMs },
        ]);
      await note(startMs + 60_000);
      await note(startMs);
      expect(await world.store.listKeys(account.id)).toMatchObject([{ lastUsedAtMs: startMs + 60_000 }]);
    });

    it("that end soon are announced once, also by servers that sweep together and after a restart", async () => {
      const world = await open();
      const account = await world.account();
      const ends = { soon: startMs + hour, later: startMs + day, revoked: startMs + hour, over: startMs - hour };
      const ids = new Map<string, string>();
      for (const [name, expiresAtMs] of Object.entries(ends)) {
        const draft = { ...keyDraft(account.id, name), expiresAtMs };
        ids.set(name, draft.id);
        await world.store.createKey(draft);
      }
      await world.store.createKey({ ...keyDraft("", "operators"), accountId: null, expiresAtMs: startMs + hour });
      await world.store.revokeKey({ by: null, keyId: ids.get("revoked") ?? "", accountId: null, nowMs: startMs });
      await world.hook("https://ops.example/", { events: ["key.expiring"] });
      const { store: beside } = await world.beside();
      const sweep = (store: typeof beside, beforeMs: number) => store.announceExpiringKeys({ beforeMs, nowMs: startMs, limit: 10 });
      const swept = await Promise.all([sweep(world.store, startMs + hour), sweep(beside, startMs + hour)]);
      expect(swept.reduce((sum, { announced }) => sum + announced, 0)).toBe(2);
      const events = swept.flatMap(({ jobs }) => jobs).map(({ event }) => event);
      expect(events.map(({ data }) => ("keyId" in data ? data.keyId : null)).toSorted()).toEqual(
        [ids.get("soon"), ids.get("over")].toSorted(),
      );
      expect(events[0]).toMatchObject({ type: "key.expiring", data: { state: "expiring", reason: null, observedAtMs: startMs } });
      expect(swept.flatMap(({ notices }) => notices).every(({ accountId }) => accountId === account.id)).toBe(true);
      if (backend.durable) await world.restart();
      expect(await sweep(world.store, startMs + hour)).toEqual({ announced: 0, jobs: [], notices: [] });
      expect(await sweep(world.store, startMs + day)).toMatchObject({ announced: 1 });
    });
  });
}

import { describe, expect, it } from "vitest";
import { encodeId, newId } from "../../src/domain/ids.ts";
import type { Account, ApiKeyDraft } from "../../src/ports/stores/account-store.ts";
import { hour, startMs } from "../harness/store-drafts.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

const accountDraft = (name: string): Account => ({
  id: newId("acc", startMs),
  name,
  usesDefaultSource: false,
  sealedSigningKey: new Uint8Array([1, 2, 3]),
  publicKey: `whpk_${name}`,
  createdAtMs: startMs,
});

const keyDraft = (accountId: string, fingerprint: string, name = "command line"): ApiKeyDraft => ({
  id: newId("key", startMs),
  accountId,
  name,
  fingerprints: [fingerprint],
  nowMs: startMs,
});

/** An account with one key, found by `key of <name>`. */
async function create(world: OpenWorld, name: string) {
  const account = accountDraft(name);
  const key = keyDraft(account.id, `key of ${name}`);
  expect(await world.store.createAccount(account, key)).toEqual({ kind: "created" });
  return { account, key };
}

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
      expect(await world.store.findAccountByKey(["key of acme"])).toEqual({ account, keyId: key.id });
      const second = accountDraft("acme");
      expect(await world.store.createAccount(second, keyDraft(second.id, "another"))).toEqual({ kind: "name_taken", account });
      expect(await world.store.findAccountByKey(["another"])).toBeNull();
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

  describe("keys", () => {
    const open = worlds(backend);

    it("of the environment are found under any of their fingerprints, until they are replaced", async () => {
      const world = await open();
      const account = await world.account();
      const keyIds = [1, 2, 3, 4].map((key) => encodeId("key", key));
      const ensure = (n: number, fingerprints: readonly string[]) =>
        world.store.ensureKey({ id: keyIds[n - 1] ?? "", accountId: account.id, name: "environment", fingerprints, nowMs: world.nowMs });
      expect(await ensure(1, ["one"])).toEqual({ kind: "ensured" });
      expect(await world.store.findAccountByKey(["new one", "one"])).toEqual({ account, keyId: keyIds[0] });
      await ensure(2, ["one again", "one"]);
      expect(await world.store.findAccountByKey(["one"])).toMatchObject({ keyId: keyIds[0] });
      await ensure(3, ["three"]);
      expect(await world.store.findAccountByKey(["one"])).toBeNull();
      expect(await world.store.findAccountByKey(["three"])).toMatchObject({ keyId: keyIds[2] });
      await ensure(4, ["one"]);
      expect(await world.store.findAccountByKey(["one"])).toMatchObject({ keyId: keyIds[0] });
    });

    it("of the environment leave alone what another account has", async () => {
      const world = await open();
      const { account } = await create(world, "acme");
      const mine = await world.account();
      const environment = (fingerprint: string) => keyDraft(mine.id, fingerprint, "environment");
      await world.store.ensureKey(environment("mine"));
      expect(await world.store.ensureKey(environment("key of acme"))).toEqual({ kind: "belongs_to_another", accountId: account.id });
      expect(await world.store.findAccountByKey(["key of acme"])).toMatchObject({ account });
      expect(await world.store.findAccountByKey(["mine"])).toMatchObject({ account: mine });
    });

    it("are added, listed oldest first and revoked, each account's own", async () => {
      const world = await open();
      const { account, key } = await create(world, "acme");
      await create(world, "other");
      const second = { ...keyDraft(account.id, "second"), nowMs: world.pass(hour) };
      await world.store.createKey(second);
      expect(await world.store.findAccountByKey(["second"])).toMatchObject({ account, keyId: second.id });
      const revoked = { id: key.id, name: "command line", createdAtMs: startMs, revokedAtMs: world.nowMs };
      expect(await world.store.revokeKey({ keyId: key.id, nowMs: world.nowMs })).toEqual({ key: revoked, accountId: account.id });
      expect(await world.store.listKeys(account.id)).toEqual([
        revoked,
        { id: second.id, name: "command line", createdAtMs: world.nowMs, revokedAtMs: null },
      ]);
      expect(await world.store.findAccountByKey(["key of acme"])).toBeNull();
      expect(await world.store.findAccountByKey(["second"])).toMatchObject({ account });
      expect(await world.store.findAccountByKey(["key of other"])).not.toBeNull();
      expect(await world.store.listKeys("acc_unknown")).toEqual([]);
    });

    it("revoked twice stay revoked since the first time, and unknown ones are unknown", async () => {
      const world = await open();
      const { key } = await create(world, "acme");
      await world.store.revokeKey({ keyId: key.id, nowMs: startMs });
      expect(await world.store.revokeKey({ keyId: key.id, nowMs: startMs + hour })).toMatchObject({ key: { revokedAtMs: startMs } });
      expect(await world.store.revokeKey({ keyId: "key_unknown", nowMs: startMs })).toBeNull();
    });
  });
}

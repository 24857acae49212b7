import { describe, expect, it } from "vitest";
import { mayNotPlace } from "../../src/domain/calls/placing.ts";
import { newId } from "../../src/domain/ids.ts";
import type { SealedColumn } from "../../src/domain/secrets/sealed-identity.ts";
import type { SealedValue } from "../../src/ports/stores/sealed-store.ts";
import { claimWith, day, hour, only, placingDraft, secretDraft, startMs } from "../harness/store-drafts.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

const [older, newer] = ["0a".repeat(8), "ff".repeat(8)];
const places: readonly SealedColumn[] = ["signing_key", "secret", "headers", "credential", "hash_key", "answer", "placing"];

/** A value as a key with this id would have sealed it. */
const sealedBy = (keyId: string, content: string) => new Uint8Array([...Buffer.from(keyId, "hex"), ...Buffer.from(content)]);

/** One value in every place, sealed by the older key; the ids of their rows. */
async function fill(world: OpenWorld): Promise<Readonly<Record<SealedColumn, string>>> {
  const account = {
    id: newId("acc", startMs),
    name: "sealed",
    usesDefaultSource: true,
    sealedSigningKey: sealedBy(older, "pem"),
    publicKey: "whpk_",
    placing: mayNotPlace,
    disabledAtMs: null,
    disablings: 0,
    createdAtMs: startMs,
  };
  await world.store.ensureAccount(account);
  const secret = { ...secretDraft("whsec"), sealed: sealedBy(older, "whsec") };
  const headers = { names: ["x-key"], sealed: sealedBy(older, "headers"), fingerprints: ["old headers"] };
  const { view } = await world.watch("OUT-1", { accountId: account.id, endpoint: { givenSecret: secret, headers } });
  const source = {
    by: null,
    id: newId("src", startMs),
    name: "shared",
    accountId: null,
    kind: "polyai-legacy",
    baseUrl: "https://api.example",
    sealedCredential: sealedBy(older, "token"),
    agentId: null,
    environment: null,
    definition: null,
    statusMap: null,
    maxPollsPerSecond: 1,
    nowMs: startMs,
  } as const;
  await world.store.setSource(source, null);
  await world.store.ensureHashKey("api_keys", sealedBy(older, "hash key"));
  const claim = claimWith({ id: "answer_of_a_hook", accountId: account.id, nowMs: startMs, expiresAtMs: startMs + day });
  const request = { by: null, accountId: account.id, endpointId: view.endpoint?.id ?? "", sinceMs: 0, untilMs: 0, nowMs: startMs };
  await world.store.underKey(claim).recover(request, () => ({ sealed: sealedBy(older, "answer"), deliveryId: null, watchIds: [] }));
  const intent = placingDraft(account.id, startMs, { sealedRequest: sealedBy(older, "watch") });
  await world.store.createPlacing(intent);
  return {
    placing: intent.id,
    signing_key: account.id,
    secret: secret.id,
    headers: view.endpoint?.id ?? "",
    credential: source.id,
    hash_key: "api_keys",
    answer: claim.id,
  };
}

/** Returns which of the two are in use; other keys of the world do not count. */
async function keysOf(world: OpenWorld): Promise<readonly string[]> {
  const keyIds = await world.store.readKeyIds();
  return [older, newer].filter((keyId) => keyIds.includes(keyId));
}

const list = (world: OpenWorld, place: SealedColumn, keyId: string) => world.store.listSealed({ place, keyId, afterId: null, limit: 10 });

function reseal(value: SealedValue) {
  const resealed = sealedBy(newer, Buffer.from(value.sealed.subarray(8)).toString());
  return { ...value, resealed, fingerprint: value.place === "secret" || value.place === "headers" ? `new ${value.place}` : null };
}

export function sealedSuite(backend: StoreBackend): void {
  describe("sealed values", () => {
    const open = worlds(backend);

    it("are known by the keys that sealed them, none in an empty database", async () => {
      const world = await open();
      expect(await world.store.readKeyIds()).toEqual([]);
      await fill(world);
      expect(await keysOf(world)).toEqual([older]);
      const { id: accountId } = await world.account("sealed");
      const secret = { ...secretDraft("default"), sealed: sealedBy(newer, "default") };
      await world.store.setDefaultSecret({ by: null, accountId, secret, nowMs: startMs });
      expect(await keysOf(world)).toEqual([older, newer]);
    });

    it("are listed by their place and key, page by page", async () => {
      const world = await open();
      const ids = await fill(world);
      for (const place of places) {
        const value = only(await list(world, place, older));
        expect(value).toMatchObject({ place, id: ids[place] });
        expect(Buffer.from(value.sealed).subarray(0, 8).toString("hex")).toBe(older);
        expect(await list(world, place, newer)).toEqual([]);
        expect(await world.store.listSealed({ place, keyId: older, afterId: value.id, limit: 10 })).toEqual([]);
      }
      const { id: accountId } = await world.account("sealed");
      for (let n = 0; n < 5; n++) {
        const givenSecret = { ...secretDraft(`secret ${n}`), sealed: sealedBy(newer, `secret ${n}`) };
        await world.watch(`OUT-more-${n}`, { accountId, url: `https://${n}.example/`, endpoint: { givenSecret } });
      }
      const first = await world.store.listSealed({ place: "secret", keyId: newer, afterId: null, limit: 3 });
      const rest = await world.store.listSealed({ place: "secret", keyId: newer, afterId: first[2]?.id ?? null, limit: 3 });
      expect([first.length, rest.length, new Set([...first, ...rest].map(({ id }) => id)).size]).toEqual([3, 2, 5]);
    });

    it("are replaced with the hash beside them, once", async () => {
      const world = await open();
      await fill(world);
      const values = (await Promise.all(places.map((place) => list(world, place, older)))).flat().map(reseal);
      expect(await world.store.replaceSealed(values)).toBe(places.length);
      expect(await keysOf(world)).toEqual([newer]);
      expect(await world.store.replaceSealed(values)).toBe(0);
      const { id: accountId } = await world.account("sealed");
      // What is given is compared with the hash, and what is sent is the value.
      const headers = { names: ["x-key"], sealed: sealedBy(newer, ""), fingerprints: ["new headers"] };
      const givenSecret = { ...secretDraft("again"), fingerprints: ["new secret"] };
      expect(await world.register("OUT-2", { accountId, endpoint: { headers, givenSecret } })).toMatchObject({ kind: "created" });
      const { target } = only((await world.see("OUT-1", "queued")).jobs);
      expect(target).toMatchObject({ sealedHeaders: sealedBy(newer, "headers"), secrets: [{ sealed: sealedBy(newer, "whsec") }] });
      expect((await world.store.findAccount("sealed"))?.sealedSigningKey).toEqual(sealedBy(newer, "pem"));
      expect(await world.store.listSources()).toMatchObject([{ sealedCredential: sealedBy(newer, "token") }]);
      expect(await world.store.ensureHashKey("api_keys", sealedBy(older, "another"))).toEqual(sealedBy(newer, "hash key"));
    });

    it("changed since they were read are left as they are", async () => {
      const world = await open();
      const ids = await fill(world);
      const value = only(await list(world, "headers", older));
      const headers = { names: ["x-other"], sealed: sealedBy(older, "changed"), fingerprints: ["changed"] };
      const { id: accountId } = await world.account("sealed");
      await world.store.patchEndpoint({ by: null, accountId, endpointId: ids.headers, patch: { headers }, nowMs: startMs });
      expect(await world.store.replaceSealed([reseal(value)])).toBe(0);
      expect(only(await list(world, "headers", older)).sealed).toEqual(headers.sealed);
      await world.store.patchEndpoint({ by: null, accountId, endpointId: ids.headers, patch: { headers: null }, nowMs: startMs });
      expect(await list(world, "headers", older)).toEqual([]);
    });

    it("that are gone are not counted among those in use", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const givenSecret = { ...secretDraft("mine"), sealed: sealedBy(older, "mine") };
      const { view } = await world.watch("OUT-1", { endpoint: { givenSecret } });
      expect(await keysOf(world)).toEqual([older]);
      await world.store.removeWatch({ by: null, accountId, watchId: view.watch.id, purge: true, nowMs: world.nowMs });
      world.pass(31 * day);
      await world.store.deleteExpired({ beforeMs: world.nowMs - hour, nowMs: world.nowMs, limit: 10 });
      expect(await keysOf(world)).toEqual([]);
    });

    it("are hashed with a key that is made once", async () => {
      const world = await open();
      const keys = [sealedBy(older, "one"), sealedBy(older, "two")];
      const kept = await Promise.all(keys.map((key) => world.store.ensureHashKey("api_keys", key)));
      expect(kept[1]).toEqual(kept[0]);
      expect(keys).toContainEqual(kept[0]);
    });

    it("name the running server that cannot open them", async () => {
      const world = await open();
      // A database in memory has one server.
      const count = backend.durable ? 1 : 0;
      expect(await world.store.findServersWithoutKey(older)).toEqual({ lacking: 0, starting: count });
      await world.store.setServerKeys([newer, older]);
      expect(await world.store.findServersWithoutKey(older)).toEqual({ lacking: 0, starting: 0 });
      await world.store.setServerKeys([newer]);
      expect(await world.store.findServersWithoutKey(newer)).toEqual({ lacking: 0, starting: 0 });
      expect(await world.store.findServersWithoutKey(older)).toEqual({ lacking: count, starting: 0 });
    });
  });
}

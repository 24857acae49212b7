import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { newId } from "../../../src/domain/ids.ts";
import { associatedData } from "../../../src/domain/secrets/sealed-identity.ts";
import { generateSecret } from "../../../src/domain/webhooks/signature.ts";
import { AccountAdministration } from "../../../src/engine/administration/accounts.ts";
import { reencrypt } from "../../../src/engine/administration/reencryption.ts";
import { draftSecret, sealHeaders } from "../../../src/engine/registration/sealed-drafts.ts";
import { WebhookComposer } from "../../../src/engine/delivery/webhook-composer.ts";
import { openKeyring } from "../../../src/service/open-keyring.ts";
import type { SecretBox } from "../../../src/ports/secret-box.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { expectKind, only, startMs, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const [older, newer] = [randomBytes(32), randomBytes(32)].map((key) => key.toString("base64")) as [string, string];
const clock = { nowMs: () => startMs };
let store: ServiceStore;

beforeEach(async () => {
  store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
});
afterEach(() => store.close());

const keyringOf = (...keys: readonly string[]) => openKeyring(store, { encryptionKeys: keys.join(","), databasePath: ":memory:" });

/** An account with everything that is sealed, made with the older key. */
async function fill() {
  const { secretBox, hashApiKey } = await keyringOf(older);
  const created = expectKind(
    await new AccountAdministration({ store, clock, secretBox, hashApiKey }).createAccount("acme", true),
    "created",
  );
  const world = new StoreWorld(store);
  const signingSecret = generateSecret();
  await store.setDefaultSecret({
    by: null,
    accountId: created.accountId,
    secret: draftSecret(secretBox, generateSecret(), startMs),
    nowMs: startMs,
  });
  const endpointOf = (box: SecretBox, id = newId("ep", startMs)) => ({
    id,
    headers: sealHeaders(box, id, { "x-token": "open sesame" }),
    givenSecret: draftSecret(box, signingSecret, startMs),
  });
  await world.watch("OUT-1", { accountId: created.accountId, endpoint: endpointOf(secretBox) });
  const sourceId = newId("src", startMs);
  const source = { id: sourceId, name: "own", accountId: null, kind: "polyai-legacy", baseUrl: "https://api.example" } as const;
  const sealedCredential = secretBox.seal("upstream token", associatedData("credential", sourceId));
  const rest = {
    agentId: null,
    environment: null,
    definition: null,
    statusMap: null,
    maxPollsPerSecond: 1,
    nowMs: startMs,
    sealedCredential,
  };
  await store.setSource({ by: null, ...source, ...rest }, null);
  return { world, created, signingSecret, endpointOf, sourceId };
}

describe("a rotation", () => {
  test("seals every secret with the first key, which then suffices alone", async () => {
    const { world, created, signingSecret, endpointOf, sourceId } = await fill();
    const { secretBox } = await keyringOf(newer, older);
    const result = await reencrypt({ store, secretBox });
    expect(result).toEqual({
      resealed: { hash_key: 1, signing_key: 1, secret: 2, headers: 1, credential: 1, answer: 0, placing: 0 },
      unreadable: [],
      remainingKeyIds: [],
    });
    const after = await keyringOf(newer);
    // The API key still authenticates, although only its hash is stored.
    expect((await store.findAccountByKey([after.hashApiKey(created.key)], null))?.account?.id).toBe(created.accountId);
    const composer = new WebhookComposer({ secretBox: after.secretBox, accounts: store, publicUrl: null, version: "0" });
    await store.patchEndpoint({
      by: null,
      accountId: created.accountId,
      endpointId: (await store.listEndpoints({ accountId: created.accountId, limit: 1, cursor: null })).data[0]?.endpoint.id ?? "",
      patch: { signatures: ["v1", "v1a"] },
      nowMs: startMs,
    });
    const composed = await composer.compose(only((await world.see("OUT-1", "queued")).jobs), { nowMs: () => startMs });
    if (composed.kind !== "webhook") throw new Error(composed.detail);
    const { headers } = composed;
    expect(headers["x-token"]).toBe("open sesame");
    expect(headers["webhook-signature"]).toMatch(/^v1,\S+ v1a,\S+$/);
    expect(after.secretBox.open((await store.listSources())[0]?.sealedCredential ?? new Uint8Array(), `${sourceId}:credential`)).toBe(
      "upstream token",
    );
    // The same headers and secret given again are the same, others are not.
    const again = { accountId: created.accountId, endpoint: endpointOf(after.secretBox) };
    expect((await world.register("OUT-2", again)).kind).toBe("created");
    const other = draftSecret(after.secretBox, generateSecret(), startMs);
    expect(await world.register("OUT-3", { ...again, endpoint: { ...again.endpoint, givenSecret: other } })).toMatchObject({
      kind: "endpoint_differs",
      fields: ["signing_secret"],
    });
    expect(signingSecret).toMatch(/^whsec_/);
  });

  test("in small batches reseals the same secrets, and a second one changes nothing", async () => {
    const { world, created } = await fill();
    const { secretBox: before } = await keyringOf(older);
    for (let n = 0; n < 25; n++)
      await world.watch(`OUT-more-${n}`, {
        accountId: created.accountId,
        url: `https://${n}.example/`,
        endpoint: { givenSecret: draftSecret(before, generateSecret(), startMs) },
      });
    const { secretBox } = await keyringOf(newer, older);
    const first = await reencrypt({ store, secretBox, batchSize: 4 });
    expect(first.resealed.secret).toBe(27);
    const second = await reencrypt({ store, secretBox, batchSize: 4 });
    expect(new Set(Object.values(second.resealed))).toEqual(new Set([0]));
  });

  test("says what a service that has another first key sealed meanwhile", async () => {
    const { created } = await fill();
    const { secretBox: ofService } = await keyringOf(older, newer);
    const { secretBox } = await keyringOf(newer, older);
    const beside: ServiceStore = {
      ...store,
      replaceSealed: async (values) => {
        if (values.some(({ place }) => place === "credential")) {
          const secret = draftSecret(ofService, generateSecret(), startMs);
          await store.setDefaultSecret({ by: null, accountId: created.accountId, secret, nowMs: startMs });
        }
        return store.replaceSealed(values);
      },
    };
    expect((await reencrypt({ store: beside, secretBox })).remainingKeyIds).toEqual([ofService.keyIds[0]]);
    expect(await reencrypt({ store, secretBox })).toMatchObject({ resealed: { secret: 1 }, remainingKeyIds: [] });
  });

  test("leaves what was changed since it was read", async () => {
    const { created, endpointOf } = await fill();
    const { secretBox } = await keyringOf(newer, older);
    const endpointId = (await store.listEndpoints({ accountId: created.accountId, limit: 1, cursor: null })).data[0]?.endpoint.id ?? "";
    const headers = sealHeaders(secretBox, endpointId, { "x-token": "changed" });
    const beside: ServiceStore = {
      ...store,
      replaceSealed: async (values) => {
        if (values.some(({ place }) => place === "headers"))
          await store.patchEndpoint({ by: null, accountId: created.accountId, endpointId, patch: { headers }, nowMs: startMs });
        return store.replaceSealed(values);
      },
    };
    expect(await reencrypt({ store: beside, secretBox })).toMatchObject({ resealed: { headers: 0 }, remainingKeyIds: [] });
    const given = { ...endpointOf(secretBox), headers };
    expect((await new StoreWorld(store).register("OUT-2", { accountId: created.accountId, endpoint: given })).kind).toBe("created");
  });

  test("names what does not open and goes on with the rest", async () => {
    const { created } = await fill();
    const { secretBox: before } = await keyringOf(older);
    const foreign = { ...draftSecret(before, generateSecret(), startMs), id: newId("sec", startMs) };
    await store.setDefaultSecret({ by: null, accountId: created.accountId, secret: foreign, nowMs: startMs });
    const { secretBox } = await keyringOf(newer, older);
    const result = await reencrypt({ store, secretBox, batchSize: 1 });
    expect(result.unreadable).toEqual([{ place: "secret", id: foreign.id }]);
    expect(result.resealed).toMatchObject({ signing_key: 1, secret: 1, headers: 1, credential: 1, hash_key: 1 });
    expect(result.remainingKeyIds).toContain(before.keyIds[0]);
  });

  test("broken off says what is left, and goes on the next time", async () => {
    await fill();
    const { secretBox } = await keyringOf(newer, older);
    const ending = new AbortController();
    const beside: ServiceStore = {
      ...store,
      replaceSealed: async (values) => {
        ending.abort();
        return store.replaceSealed(values);
      },
    };
    const first = await reencrypt({ store: beside, secretBox, signal: ending.signal });
    expect(first.resealed).toMatchObject({ hash_key: 1, signing_key: 0, secret: 0 });
    expect(first.remainingKeyIds).toContain(secretBox.keyIds[1]);
    expect((await reencrypt({ store, secretBox })).resealed).toMatchObject({ hash_key: 0, signing_key: 1, secret: 2 });
  });
});

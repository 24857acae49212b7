import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSecretBox } from "../../src/adapters/sealing/secret-box.ts";
import { openSqliteAdministration, openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { StartupError } from "../../src/domain/errors.ts";
import { newId } from "../../src/domain/ids.ts";
import { associatedData } from "../../src/domain/secrets/sealed-identity.ts";
import type { SealedColumn } from "../../src/domain/secrets/sealed-identity.ts";
import { AccountAdministration } from "../../src/engine/administration/accounts.ts";
import { draftSecret, sealHeaders } from "../../src/engine/registration/sealed-drafts.ts";
import { openKeyring } from "../../src/service/open-keyring.ts";
import type { ServiceStore } from "../../src/ports/stores/service-store.ts";
import { startMs, StoreWorld, testPolicy } from "../harness/store-drafts.ts";

const [first, second] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
const idOf = (key: string) => createSecretBox([Buffer.from(key, "base64")]).keyIds[0];
let folder: string;
let databasePath: string;
let store: ServiceStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-keyring-"));
  databasePath = join(folder, "ringback.db");
  store = await openSqliteStore({ path: databasePath, policy: testPolicy });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const keyring = (encryptionKeys: string | null) => openKeyring(store, { encryptionKeys, databasePath });

async function refusalOf(encryptionKeys: string | null): Promise<string> {
  const error: unknown = await keyring(encryptionKeys).catch((refused: unknown) => refused);
  expect(error).toBeInstanceOf(StartupError);
  const { message } = error as Error;
  expect(message).not.toMatch(/\n/);
  for (const key of [first, second]) expect(message).not.toContain(key);
  return message;
}

/** Everything with the first key, but one value with the first one of `encryptionKeys`, where a service would put it. */
async function sealAt(place: SealedColumn, encryptionKeys: string): Promise<void> {
  const { secretBox } = await keyring(encryptionKeys);
  const owner = place === "signing_key" ? await keyring(encryptionKeys) : await keyring(first);
  const administration = new AccountAdministration({ store, clock: { nowMs: () => startMs }, ...owner });
  const created = await administration.createAccount("acme", false);
  if (created.kind !== "created") throw new Error("it is new");
  const { accountId } = created;
  if (place === "secret")
    await store.setDefaultSecret({ by: null, accountId, secret: draftSecret(secretBox, "whsec_x", startMs), nowMs: startMs });
  if (place === "headers") {
    const id = newId("ep", startMs);
    const givenSecret = draftSecret(owner.secretBox, "whsec_x", startMs);
    const endpoint = { id, headers: sealHeaders(secretBox, id, { a: "b" }), givenSecret };
    await new StoreWorld(store).watch("OUT-1", { accountId, endpoint });
  }
  if (place === "credential") {
    const id = newId("src", startMs);
    const source = { id, name: "own", accountId: null, kind: "polyai-legacy", baseUrl: "https://api.example", agentId: null } as const;
    const sealedCredential = secretBox.seal("token", associatedData("credential", id));
    await store.setSource(
      { by: null, ...source, environment: null, definition: null, statusMap: null, maxPollsPerSecond: 1, sealedCredential, nowMs: startMs },
      null,
    );
  }
}

describe("encryption keys that do not fit the database are noticed at the start", () => {
  test.each(["signing_key", "secret", "headers", "credential"] as const)("by one value alone, sealed as %s", async (place) => {
    await keyring(first);
    await sealAt(place, `${second},${first}`);
    expect(await refusalOf(first)).toContain(`sealed with the key ${idOf(second)}, which is not in RINGBACK_ENCRYPTION_KEY`);
    expect(await refusalOf(second)).toContain(idOf(first));
    await keyring(`${first},${second}`);
    await keyring(`${second},${first}`);
  });

  test("an absent one is named, and no other is made in its place", async () => {
    await keyring(first);
    expect(await refusalOf(null)).toContain(`the encryption key ${idOf(first)}, which the database was sealed with, is absent`);
    expect((await readdir(folder)).includes("encryption.key")).toBe(false);
    await keyring(first);
  });

  test("a strange one in the file is named with the file", async () => {
    await keyring(null);
    const path = join(folder, "encryption.key");
    const own = (await readFile(path, "utf8")).trim();
    await writeFile(path, first);
    expect(await refusalOf(null)).toContain(`sealed with the key ${idOf(own)}, which is not in ${path}`);
  });
});

describe("the key of the data folder", () => {
  test("is made once, readable by its owner alone, and found again", async () => {
    const made = await keyring(null);
    const path = join(folder, "encryption.key");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(made.origin).toBe(path);
    const again = await keyring(null);
    expect(again.secretBox.keyIds).toEqual(made.secretBox.keyIds);
    expect((await readdir(folder)).filter((name) => name.startsWith("encryption.key"))).toEqual(["encryption.key"]);
  });

  test("made by several at the same moment is one", async () => {
    const others = await Promise.all([1, 2, 3].map(() => openSqliteAdministration(databasePath)));
    const keyrings = await Promise.all(
      [store, ...others.map((other) => other.store)].map((at) => openKeyring(at, { encryptionKeys: null, databasePath })),
    );
    expect(new Set(keyrings.map(({ secretBox }) => secretBox.keyIds[0])).size).toBe(1);
    expect(new Set(keyrings.map(({ hashApiKey }) => hashApiKey("rb_key"))).size).toBe(1);
    for (const other of others) await other.store.close();
  });
});

describe("the hashes of API keys", () => {
  test("are the same whichever encryption keys there are, and others in another database", async () => {
    const before = await keyring(first);
    const after = await keyring(`${second},${first}`);
    expect(after.hashApiKey("rb_key")).toBe(before.hashApiKey("rb_key"));
    const other = await openSqliteStore({ path: ":memory:", policy: testPolicy });
    expect((await openKeyring(other, { encryptionKeys: first, databasePath: ":memory:" })).hashApiKey("rb_key")).not.toBe(
      before.hashApiKey("rb_key"),
    );
    await other.close();
  });

  test("need their key whole: one that was changed is noticed at the start", async () => {
    const { secretBox } = await keyring(first);
    const [value] = await store.listSealed({ place: "hash_key", keyId: secretBox.keyIds[0], afterId: null, limit: 1 });
    if (value === undefined) throw new Error("there is one");
    const resealed = value.sealed.with(40, (value.sealed[40] ?? 0) ^ 1);
    await store.replaceSealed([{ ...value, resealed, fingerprint: null }]);
    expect(await refusalOf(first)).toContain("it was changed or belongs to another row");
  });
});

import { createSecretKey, randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSecretBox } from "../../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { hashApiKey } from "../../../src/domain/secrets/api-key.ts";
import { StartupError } from "../../../src/domain/errors.ts";
import { associatedData } from "../../../src/domain/secrets/sealed-identity.ts";
import { signingKeyOf } from "../../../src/domain/webhooks/signature.ts";
import { AccountAdministration } from "../../../src/engine/administration/accounts.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { expectKind, startMs, testPolicy } from "../../harness/store-drafts.ts";

const secretBox = createSecretBox([randomBytes(32)]);
const hashKey = createSecretKey(randomBytes(32));
const hash = (apiKey: string) => hashApiKey(apiKey, hashKey);
let store: ServiceStore;
let accounts: AccountAdministration;

beforeEach(async () => {
  store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  accounts = new AccountAdministration({ store, secretBox, hashApiKey: hash, clock: { nowMs: () => startMs } });
});
afterEach(() => store.close());

const nameOf = async (apiKey: string) => (await store.findAccountByKey([hash(apiKey)], null))?.account?.name ?? null;

test("the key of the environment is the account default's, and another one takes its place", async () => {
  const account = await accounts.ensureDefaultAccount("first-key-of-the-environment");
  expect(account).toMatchObject({ name: "default", usesDefaultSource: true });
  const made = await accounts.createKey(account.id);
  await accounts.ensureDefaultAccount("first-key-of-the-environment");
  expect(await store.listKeys(account.id)).toHaveLength(2);
  await accounts.ensureDefaultAccount("second-key-of-the-environment");
  expect(await nameOf("first-key-of-the-environment")).toBeNull();
  expect(await nameOf("second-key-of-the-environment")).toBe("default");
  expect(await nameOf(made.key)).toBe("default");
});

test("a revoked key of the environment is valid again with the next start that has it", async () => {
  const account = await accounts.ensureDefaultAccount("key-of-the-environment");
  const [key] = await store.listKeys(account.id);
  await store.revokeKey({ by: null, keyId: key?.id ?? "", accountId: null, nowMs: startMs });
  expect(await nameOf("key-of-the-environment")).toBeNull();
  await accounts.ensureDefaultAccount("key-of-the-environment");
  expect(await nameOf("key-of-the-environment")).toBe("default");
});

test("a key of another account is not the environment's: the start is refused, and the key stays whose it is", async () => {
  const acme = expectKind(await accounts.createAccount("acme", false), "created");
  const refused: unknown = await accounts.ensureDefaultAccount(acme.key).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(StartupError);
  expect((refused as Error).message).toContain(acme.accountId);
  expect((refused as Error).message).not.toContain(acme.key);
  expect(await nameOf(acme.key)).toBe("acme");
});

test("an account has an ed25519 key of its own that opens for it alone", async () => {
  const created = [await accounts.createAccount("acme", false), await accounts.createAccount("beta", true)].map((result) =>
    expectKind(result, "created"),
  );
  const [acme, beta] = await Promise.all(created.map(({ accountId }) => store.getAccount(accountId)));
  if (!acme || !beta) throw new Error("both are there");
  expect([acme.usesDefaultSource, beta.usesDefaultSource]).toEqual([false, true]);
  expect(acme.publicKey).toMatch(/^whpk_/);
  expect(acme.publicKey).not.toBe(beta.publicKey);
  expect(signingKeyOf(secretBox.open(acme.sealedSigningKey, associatedData("signing_key", acme.id))).asymmetricKeyType).toBe("ed25519");
  expect(() => secretBox.open(acme.sealedSigningKey, associatedData("signing_key", beta.id))).toThrow();
});

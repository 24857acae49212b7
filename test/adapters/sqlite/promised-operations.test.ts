import { expect, onTestFinished, test } from "vitest";
import { keyScopes } from "../../../src/domain/secrets/key-scopes.ts";
import { mayNotPlace } from "../../../src/domain/calls/placing.ts";
import { Database } from "../../../src/adapters/sqlite/connection/database.ts";
import type { Value } from "../../../src/adapters/sqlite/connection/database.ts";
import { openConnection } from "../../../src/adapters/sqlite/connection/open-connection.ts";
import { operationNumbers } from "../../../src/adapters/sqlite/operations.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { runGroup } from "../../../src/adapters/sqlite/writer-thread/group.ts";
import { encodeId } from "../../../src/domain/ids.ts";
import type { Request } from "../../../src/adapters/sqlite/writer-thread/group.ts";
import type { ApiKeyDraft } from "../../../src/ports/stores/account-store.ts";
import { claimWith, StoreWorld, secretDraft, startMs, testPolicy } from "../../harness/store-drafts.ts";

/** Operations that answer with a promise, because their SQL is shared with Postgres, in groups of the writer thread. */

const names = ["first", "second", "before", "broken", "after"];
const keyOf = (name: string) => 1001 + names.indexOf(name);

/** Records each statement by the account that its values name, or by its text if they name none. */
class RecordingDatabase extends Database {
  readonly log: string[] = [];

  override all(sql: string, ...values: readonly Value[]) {
    this.#record(sql, values);
    return super.all(sql, ...values);
  }

  override get(sql: string, ...values: readonly Value[]) {
    this.#record(sql, values);
    return super.get(sql, ...values);
  }

  override run(sql: string, ...values: readonly Value[]) {
    this.#record(sql, values);
    return super.run(sql, ...values);
  }

  #record(sql: string, values: readonly Value[]): void {
    this.log.push(["first", "second"].find((name) => values.includes(name) || values.includes(keyOf(name))) ?? sql);
  }
}

const accountDraft = (name: string) => ({
  id: encodeId("acc", keyOf(name)),
  name,
  usesDefaultSource: true,
  sealedSigningKey: new Uint8Array([1]),
  publicKey: "whpk_",
  placing: mayNotPlace,
  disabledAtMs: null,
  disablings: 0,
  createdAtMs: startMs,
});
const keyDraft = (account: { readonly id: string; readonly name: string }, given: Partial<ApiKeyDraft> = {}): ApiKeyDraft => ({
  by: null,
  id: account.id,
  accountId: account.id,
  name: "environment",
  fingerprints: [account.name],
  scopes: keyScopes,
  expiresAtMs: null,
  nowMs: startMs,
  ...given,
});

const createRequest = (name: string, given: Partial<ApiKeyDraft> = {}): Request => ({
  operation: operationNumbers.createAccount,
  args: [
    accountDraft(name),
    keyDraft(accountDraft(name), { id: encodeId("key", 1), name: "first key", fingerprints: [`${name} key`], ...given }),
  ],
});
const ensureKeyRequest = (name: string): Request => ({ operation: operationNumbers.ensureKey, args: [keyDraft(accountDraft(name))] });

async function openWorld() {
  const commits: number[] = [];
  const onCommitted = (durationMs: number) => commits.push(durationMs);
  const world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy, onCommitted }));
  onTestFinished(() => world.store.close());
  const account = await world.account();
  return { world, store: world.store, account, accountId: account.id, commits };
}

test("an operation sends all of its statements before the next one starts", async () => {
  const { connection } = openConnection(":memory:");
  onTestFinished(() => connection.close());
  const db = new RecordingDatabase(connection, testPolicy);
  const requests = [
    createRequest("first"),
    createRequest("second", { id: encodeId("key", 2) }),
    ensureKeyRequest("second"),
    ensureKeyRequest("first"),
  ];
  const result = await runGroup(db, requests, () => Promise.resolve([]));
  expect(result).toMatchObject({
    kind: "answers",
    answers: [
      { value: { kind: "created" } },
      { value: { kind: "created" } },
      { value: { kind: "ensured" } },
      { value: { kind: "ensured" } },
    ],
  });
  const turns = db.log.filter((entry, index) => entry !== db.log[index - 1]);
  expect(turns).toEqual(["begin immediate", "pragma data_version", "first", "second", "first", "commit"]);
  expect(db.log.length).toBeGreaterThan(turns.length + 5);
});

test("an operation that fails after its first statement is rolled back alone", async () => {
  const { world, store, account, accountId, commits } = await openWorld();
  await store.createKey(keyDraft(account));
  const watch = await world.watchDraft("OUT-1");
  commits.length = 0;
  const outcomes = await Promise.allSettled([
    store.createAccount(accountDraft("before"), keyDraft(accountDraft("before"))),
    store.registerWatches([watch]),
    // The account is inserted before the key, whose id is taken.
    store.createAccount(accountDraft("broken"), keyDraft(accountDraft("broken"), { id: accountId })),
    store.findAccount("broken"),
    store.createAccount(accountDraft("after"), keyDraft(accountDraft("after"))),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled"]);
  expect(outcomes[2]).toMatchObject({ reason: { message: expect.stringContaining("UNIQUE constraint failed: api_keys.id") } });
  expect(outcomes[3]).toMatchObject({ value: null });
  expect(commits).toHaveLength(1);
  expect(await store.findAccount("broken")).toBeNull();
  expect([await store.findAccount("before"), await store.findAccount("after")]).toMatchObject([{ name: "before" }, { name: "after" }]);
  expect((await store.getWatch(accountId, watch.id))?.watch.callSid).toBe("OUT-1");
});

test("a read that fails rejects alone", async () => {
  const { store, account, accountId, commits } = await openWorld();
  commits.length = 0;
  const list = { accountId, limit: 10 };
  const outcomes = await Promise.allSettled([
    store.createKey(keyDraft(account)),
    store.listHooks({ ...list, cursor: "not a cursor" }),
    store.listHooks({ ...list, cursor: null }),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(commits).toHaveLength(1);
  expect(await store.listKeys(accountId)).toHaveLength(1);
});

test("a claimed operation runs once in a group, and is rolled back alone if its answer is not drafted", async () => {
  const { world, store, account, accountId, commits } = await openWorld();
  const hook = await world.hook("https://hooks.example/");
  const secret = secretDraft("rotated");
  const rotation = { by: null, accountId, endpointId: hook.view.endpoint.id, secret, previousValidUntilMs: startMs + 1, nowMs: startMs };
  const rotate = (id: string, draftAnswer: () => null) =>
    store.underKey(claimWith({ id, accountId, nowMs: startMs, expiresAtMs: startMs + 1 })).rotateSecret(rotation, draftAnswer);
  commits.length = 0;
  const outcomes = await Promise.allSettled([
    rotate("undrafted", () => {
      throw new Error("no answer");
    }),
    store.createKey(keyDraft(account)),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  // The id of the secret is unique, so the first rotation has left nothing.
  const runs = await Promise.all([rotate("twice", () => null), rotate("twice", () => null)]);
  expect(runs).toEqual([{ kind: "ran", result: true }, { kind: "running" }]);
  expect(commits).toHaveLength(2);
  expect(await store.listKeys(accountId)).toHaveLength(1);
});

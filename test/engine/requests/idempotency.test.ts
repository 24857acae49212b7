import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSecretBox, generateEncryptionKey, parseEncryptionKeys } from "../../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { Idempotency } from "../../../src/engine/requests/idempotency.ts";
import type { KeyedRequest, IdempotentRequest } from "../../../src/ports/use-cases/idempotency.ts";
import type { RegisterWatchResult } from "../../../src/ports/stores/registration-store.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const answer = { status: 201, contentType: "application/json", body: '{"id":"ü"}' };
const [oneKey, otherKey] = [generateEncryptionKey(), generateEncryptionKey()];
let world: StoreWorld;
let request: IdempotentRequest;

beforeEach(async () => {
  world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy }));
  const { id: accountId } = await world.account();
  request = { accountId, method: "POST", path: "/v1/watches", key: "a", bodyHash: "hash" };
});
afterEach(() => world.store.close());

function idempotencyWith(keys = oneKey, maxStoredBytes = 0): Idempotency {
  const parsed = parseEncryptionKeys(keys);
  return new Idempotency({
    store: world.store,
    secretBox: createSecretBox(parsed.kind === "keys" ? parsed.keys : []),
    clock: new FakeClock(),
    keyedHash: (text) => `keyed ${text}`,
    maxStoredBytes,
  });
}

const claimOf = (given: Partial<IdempotentRequest> = {}): KeyedRequest<readonly RegisterWatchResult[]> => ({
  request: { ...request, ...given },
  answerOf: () => answer,
});

const registerNothing = (idempotency: Idempotency, given: Partial<IdempotentRequest> = {}) =>
  idempotency.run(
    claimOf(given),
    (store) => store.registerWatches,
    [],
    (results) => results,
  );

describe("a key", () => {
  test("is one of its account, method and path", async () => {
    const idempotency = idempotencyWith();
    const { id: otherAccountId } = await world.account("other");
    expect((await registerNothing(idempotency)).kind).toBe("ran");
    for (const other of [{ accountId: otherAccountId }, { method: "PUT" }, { path: "/v1/watches/" }, { key: "A" }])
      expect([other, (await registerNothing(idempotency, other)).kind]).toEqual([other, "ran"]);
    expect(await registerNothing(idempotency)).toEqual({ kind: "key_taken", by: "same_request", answer });
    expect(await registerNothing(idempotency, { bodyHash: "another" })).toEqual({ kind: "key_taken", by: "other_request" });
  });

  test("is held while its request is carried out, and free again when that came to nothing", async () => {
    const idempotency = idempotencyWith();
    const held = await idempotency.take(request);
    expect(await idempotency.take(request)).toEqual({ kind: "key_taken", by: "running" });
    expect(await idempotency.take({ ...request, bodyHash: "another" })).toEqual({ kind: "key_taken", by: "other_request" });
    expect((await idempotency.take({ ...request, key: "b" })).kind).toBe("held");
    if (held.kind === "held") held[Symbol.dispose]();
    expect((await idempotency.take(request)).kind).toBe("held");
  });

  test("is not held by a request that found its answer, nor by one that could not look", async () => {
    const idempotency = idempotencyWith();
    await registerNothing(idempotency);
    for (let again = 0; again < 2; again++)
      expect(await idempotency.take(request)).toEqual({ kind: "key_taken", by: "same_request", answer });
    const blind = idempotencyWith(otherKey);
    for (let again = 0; again < 2; again++) await expect(blind.take(request)).rejects.toMatchObject({ code: "secret-unreadable" });
  });

  test("of another body opens no stored answer, however large that is", async () => {
    const idempotency = idempotencyWith();
    await registerNothing(idempotency);
    // A process that cannot open the answer answers the mismatch all the same.
    const blind = idempotencyWith(otherKey);
    expect(await blind.take({ ...request, bodyHash: "another" })).toEqual({ kind: "key_taken", by: "other_request" });
    expect(await registerNothing(blind, { bodyHash: "another" })).toEqual({ kind: "key_taken", by: "other_request" });
  });

  test("whose account has no room for another answer does nothing, and its repeats are answered", async () => {
    const idempotency = idempotencyWith(oneKey, 1);
    expect((await registerNothing(idempotency)).kind).toBe("ran");
    expect(await registerNothing(idempotency, { key: "b" })).toEqual({ kind: "key_taken", by: "no_room", retryAfterMs: 86_400_000 });
    expect(await registerNothing(idempotency)).toEqual({ kind: "key_taken", by: "same_request", answer });
  });

  test("is read by every encryption key that is configured", async () => {
    await registerNothing(idempotencyWith(oneKey));
    expect(await registerNothing(idempotencyWith(`${otherKey},${oneKey}`))).toEqual({ kind: "key_taken", by: "same_request", answer });
  });
});

test("without a key the operation runs as it is", async () => {
  const run = await idempotencyWith().run(
    null,
    (store) => store.registerWatches,
    [await world.watchDraft("OUT-1")],
    ([result]) => result?.kind,
  );
  expect(run).toMatchObject({ kind: "ran", outcome: "created" });
});

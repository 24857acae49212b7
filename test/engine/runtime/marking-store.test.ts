import { afterEach, beforeEach, expect, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { withMarkSignal } from "../../../src/engine/runtime/marking-store.ts";
import { claimWith, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const [url, keyed] = ["https://receiver.example/hook", "https://keyed.example/hook"];

let signals: number;
let world: StoreWorld;

beforeEach(async () => {
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  world = new StoreWorld(withMarkSignal(store, () => (signals += 1)));
});
afterEach(() => world.store.close());

async function disable(endpointUrl: string): Promise<void> {
  const { view } = await world.watch(`OUT-of ${endpointUrl}`, { url: endpointUrl });
  const { accountId, endpointId } = view.watch;
  await world.store.patchEndpoint({ by: null, accountId, endpointId: endpointId ?? "", patch: { state: "disabled" }, nowMs: world.nowMs });
  signals = 0;
}

test("a registration signals a mark if it enables the endpoint that it names", async () => {
  await disable(url);
  await world.watch("OUT-1", { url: "https://other.example/" });
  expect(signals).toBe(0);
  await world.watch("OUT-2", { url });
  expect(signals).toBe(1);
  await world.watch("OUT-3", { url });
  expect(signals).toBe(1);
});

test("a registration under a key does so too", async () => {
  await disable(keyed);
  const claim = claimWith({ id: "key-1", accountId: (await world.account()).id, nowMs: world.nowMs, expiresAtMs: world.nowMs + 1000 });
  const run = await world.store.underKey(claim).registerWatches([await world.watchDraft("OUT-1", { url: keyed })], () => null);
  expect(run.kind).toBe("ran");
  expect(signals).toBe(1);
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openSqliteAdministration, openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { SealedSecret, SendJob } from "../../../src/ports/stores/send-job.ts";
import { claimWith, StoreWorld, answered, minute, only, secretDraft, startMs, testPolicy } from "../../harness/store-drafts.ts";

// Each test fills the cache of the writer thread with a first webhook, changes a row, and expects the change in the next one.

const bytes = (text: string) => new TextEncoder().encode(text);
const textsOf = (secrets: readonly SealedSecret[]) => secrets.map(({ sealed }) => new TextDecoder().decode(sealed));

async function openFilled(path = ":memory:", policy: Partial<typeof testPolicy> = {}) {
  const world = new StoreWorld(await openSqliteStore({ path, policy: { ...testPolicy, ...policy } }));
  onTestFinished(() => world.store.close());
  const { id: accountId } = await world.account();
  const { view } = await world.watch("OUT-1", { endpoint: { givenSecret: secretDraft("first") } });
  let transition = 0;
  const next = async (callSid = "OUT-1"): Promise<readonly SendJob[]> => (await world.see(callSid, `step-${++transition}`)).jobs;
  await world.record(only(await next()));
  await world.record(only(await next()));
  const endpointId = view.endpoint?.id ?? "";
  const patch = async (changes: Parameters<typeof world.store.patchEndpoint>[0]["patch"]) =>
    world.store.patchEndpoint({ by: null, accountId, endpointId, patch: changes, nowMs: world.nowMs });
  const rotation = (value: string) => ({
    by: null,
    accountId,
    endpointId,
    secret: secretDraft(value),
    previousValidUntilMs: world.nowMs + minute,
    nowMs: world.nowMs,
  });
  return { world, next, patch, rotation, accountId, endpointId };
}

test("a PATCH of headers", async () => {
  const { next, patch } = await openFilled();
  await patch({ headers: { names: ["x-key"], sealed: bytes("sealed"), fingerprints: [] }, format: "flat" });
  expect(only(await next()).target).toMatchObject({ headerNames: ["x-key"], sealedHeaders: bytes("sealed"), format: "flat" });
});

test.each(["paused", "disabled"] as const)("a PATCH to %s, and back", async (state) => {
  const { world, next, patch } = await openFilled();
  await patch({ state });
  expect(await next()).toEqual([]);
  await patch({ state: "enabled" });
  for (const job of (await world.claim()).jobs) await world.record(job);
  expect(await next()).toHaveLength(1);
});

test("a registration that enables a disabled endpoint", async () => {
  const { world, next, patch } = await openFilled();
  await patch({ state: "disabled" });
  expect(await next()).toEqual([]);
  await world.watch("OUT-2");
  for (const job of (await world.claim()).jobs) await world.record(job);
  expect(await next()).toHaveLength(1);
});

test("a rotation, and the end of the previous secret", async () => {
  const { world, next, rotation } = await openFilled();
  expect(await world.store.rotateSecret(rotation("second"))).toBe(true);
  const job = only(await next());
  expect(textsOf(job.target.secrets)).toEqual(["second", "first"]);
  await world.record(job);
  world.pass(minute);
  expect(textsOf(only(await next()).target.secrets)).toEqual(["second"]);
});

test("a default secret, which serves new endpoints only", async () => {
  const { world, next, accountId } = await openFilled();
  await world.store.setDefaultSecret({ by: null, accountId, secret: secretDraft("default"), nowMs: world.nowMs });
  await world.watch("OUT-2", { url: "https://other.example/" });
  expect(textsOf(only(await next("OUT-2")).target.secrets)).toEqual(["default"]);
  expect(textsOf(only(await next()).target.secrets)).toEqual(["first"]);
});

test("a secret that is encrypted with another key", async () => {
  const { world, next } = await openFilled();
  const secret = only(only(await next()).target.secrets);
  const value = { place: "secret" as const, id: secret.id, sealed: secret.sealed, resealed: bytes("resealed"), fingerprint: "" };
  expect(await world.store.replaceSealed([value])).toBe(1);
  const { view } = await world.watch("OUT-2");
  expect(view.endpoint?.state).toBe("enabled");
  expect(textsOf(only(await next("OUT-2")).target.secrets)).toEqual(["resealed"]);
});

test("a pause of the endpoint, and one of its host", async () => {
  const { world, next } = await openFilled(":memory:", { rateLimitedHosts: ["paused.example"] });
  await world.watch("OUT-2", { url: "https://paused.example/one" });
  await world.watch("OUT-3", { url: "https://paused.example/two" });
  await world.watch("OUT-4");
  for (let n = 0; n < 2; n++) await world.record(only(await next("OUT-3")));
  await world.record(only(await next("OUT-2")), answered(429));
  expect(await next("OUT-3")).toEqual([]);
  await world.record(only(await next()), answered(429));
  expect(await next("OUT-4")).toEqual([]);
});

test("a failure", async () => {
  const { world, next } = await openFilled();
  await world.watch("OUT-2");
  await world.record(only(await next()), answered(500));
  expect(only(await next("OUT-2")).target.health.consecutiveFailures).toBe(1);
});

test("a first hook of the account", async () => {
  const { world, next } = await openFilled();
  await world.hook("https://hooks.example/");
  expect((await next()).map(({ target }) => target.url).toSorted()).toEqual(["https://hooks.example/", "https://receiver.example/hook"]);
});

test("a hook that comes back after a 410", async () => {
  const { world, next, accountId } = await openFilled();
  const { view } = await world.hook("https://hooks.example/");
  for (const job of await next()) await world.record(job, job.target.id === view.endpoint.id ? answered(410) : undefined);
  await world.record(only(await next()));
  await world.store.patchEndpoint({ by: null, accountId, endpointId: view.endpoint.id, patch: { state: "enabled" }, nowMs: world.nowMs });
  expect(await next()).toHaveLength(2);
});

test("a delivery that is due again", async () => {
  const { world, next } = await openFilled();
  await world.watch("OUT-2");
  const [first, second] = [only(await next()), only(await next("OUT-2"))];
  await world.release([second]);
  expect((await world.record(first)).endpointNextDueAtMs).toBe(world.nowMs);
});

test("a clock that was set back", async () => {
  const { world, next } = await openFilled();
  await world.record(only(await next()), answered(429));
  const paused = await world.watch("OUT-2");
  const pausedUntilMs = paused.view.endpoint?.pausedUntilMs ?? 0;
  expect(await next("OUT-2")).toEqual([]);
  await world.store.moveSchedule(minute);
  const claimed = await world.claim({ nowMs: pausedUntilMs - minute });
  expect(only(claimed.jobs).target.health.pausedUntilMs).toBe(pausedUntilMs - minute);
});

test("a change by the command line, in another process' connection", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ringback-row-cache-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "ringback.db");
  const { world, next } = await openFilled(path);
  const secret = only(only(await next()).target.secrets);
  const { store } = await openSqliteAdministration(path);
  onTestFinished(() => store.close());
  await store.replaceSealed([{ place: "secret", id: secret.id, sealed: secret.sealed, resealed: bytes("resealed"), fingerprint: "" }]);
  await world.watch("OUT-2");
  expect(textsOf(only(await next("OUT-2")).target.secrets)).toEqual(["resealed"]);
});

test("no change by an operation that was rolled back alone", async () => {
  const { world, next, patch } = await openFilled();
  await patch({ state: "disabled" });
  await world.watch("OUT-2", { url: "https://other.example/" });
  await next("OUT-2");
  // The first registration enables the endpoint and has a webhook; the second one fails.
  const draft = await world.watchDraft("OUT-2", { polledAtMs: world.nowMs });
  const failed = world.store.registerWatches([draft, { ...draft, callSid: "OUT-3" }]);
  await expect(failed).rejects.toThrow("UNIQUE constraint failed");
  expect(await next()).toEqual([]);
});

test("no change by a group that was rolled back", async () => {
  const { world, next, rotation, accountId } = await openFilled();
  const claim = claimWith({ id: "key", accountId, nowMs: startMs, expiresAtMs: startMs + minute });
  const rotated = world.store.underKey(claim).rotateSecret(rotation("never"), () => {
    throw new Error("no answer");
  });
  const [rotate, jobs] = await Promise.allSettled([rotated, next()]);
  expect(rotate.status).toBe("rejected");
  expect(jobs.status === "fulfilled" ? textsOf(only(jobs.value).target.secrets) : jobs).toEqual(["first"]);
});

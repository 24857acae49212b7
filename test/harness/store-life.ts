import { answered, expectKind, hour, secretDraft } from "./store-drafts.ts";
import type { StoreWorld } from "./store-drafts.ts";

/** Calls every operation of the store with every filter that it has. */
export async function live(world: StoreWorld): Promise<void> {
  const { store } = world;
  const { id: accountId } = await world.account();
  const quotas = { maxActiveWatches: 99, maxEndpoints: 99, maxHooks: 99 };
  const hook = await world.hook("https://hooks.example/", { events: ["call.*", "endpoint.disabled"], quotas });
  const { view } = await world.watch("OUT-1", { quotas });
  await world.register("OUT-1");
  const { jobs } = await world.see("OUT-1", "queued");
  await world.see("OUT-1", "calling");
  await world.watch("OUT-1", { url: "https://late.example/", polledAtMs: world.nowMs });
  for (const job of jobs) await world.record(job, answered(429));
  world.pass(hour);
  for (const job of (await world.claim()).jobs) await world.record(job, answered(500));
  world.pass(hour);
  await world.release((await world.claim()).jobs);
  const endpointId = view.endpoint?.id ?? "";
  for (const state of ["disabled", "enabled"] as const)
    await store.patchEndpoint({ accountId, endpointId, patch: { state }, nowMs: world.nowMs });
  await store.recover({ accountId, endpointId, sinceMs: 0, untilMs: world.nowMs, nowMs: world.nowMs });
  await world.record(expectKind(await store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed").job);
  await store.rotateSecret({ accountId, endpointId, secret: secretDraft("new"), previousValidUntilMs: world.nowMs, nowMs: world.nowMs });
  await store.setDefaultSecret({ accountId, secret: secretDraft("default"), nowMs: world.nowMs });
  await store.moveSchedule(1);
  const page = { accountId, limit: 5, cursor: null };
  const feed = { ...page, sinceMs: null, types: null, orTerminal: false, callSid: null };
  for (const filter of [{}, { sinceMs: 1 }, { callSid: "OUT-1" }, { types: ["call.queued"], orTerminal: true }])
    await store.readFeed({ ...feed, ...filter });
  await store.listRecentEvents({ accountId, types: ["call.queued"], orTerminal: false, limit: 3 });
  const deliveries = { ...page, endpointId: null, watchId: null, status: null };
  for (const filter of [
    {},
    { endpointId },
    { watchId: view.watch.id },
    { status: "failed" as const },
    { endpointId, status: "failed" as const },
  ])
    await store.listDeliveries({ ...deliveries, ...filter });
  for (const filter of [{}, { status: "ended" as const }, { callSid: "OUT-1" }])
    await store.listWatches({ ...page, status: null, callSid: null, ...filter });
  await store.listEndpoints(page);
  await store.listHooks(page);
  await store.listWatchEvents({ ...page, watchId: view.watch.id });
  await store.getCall({ accountId, sourceName: "default", callSid: "OUT-1" });
  await store.getEvent(accountId, jobs[0]?.event.id ?? "");
  await store.getDelivery(accountId, jobs[0]?.deliveryId ?? "");
  await store.claimManualRetry({ accountId, deliveryId: jobs[0]?.deliveryId ?? "", nowMs: world.nowMs });
  await store.findStoredAnswer({ id: "key", accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs });
  await store.completeAnswer({ id: "key", sealed: new Uint8Array() });
  await store.findAccount(accountId);
  await store.listKeys(accountId);
  await store.revokeKey({ keyId: "key_1", nowMs: world.nowMs });
  await store.listSources();
  for (const sourceName of ["default", "sandbox", "another"])
    await store.publishSourceEvent({ type: "source.suspended", sourceName, state: "suspended", reason: null, nowMs: world.nowMs });
  await store.readKeyIds();
  for (const place of ["signing_key", "secret", "headers", "credential", "hash_key", "answer"] as const) {
    await store.listSealed({ place, keyId: "00", afterId: null, limit: 3 });
    const value = { place, id: "?", sealed: new Uint8Array(), resealed: new Uint8Array(), fingerprint: "" };
    await store.replaceSealed([value]);
  }
  await store.loadWatchedCalls({ afterCallId: null, limit: 3 });
  await store.readStats();
  await world.watch("OUT-2", { url: "https://gone.example/" });
  for (const job of (await world.see("OUT-2", "queued")).jobs) await world.record(job, answered(410));
  await store.removeWatch({ accountId, watchId: view.watch.id, purge: false, nowMs: world.nowMs });
  await store.removeWatch({ accountId, watchId: view.watch.id, purge: true, nowMs: world.nowMs });
  await store.removeHook({ accountId, hookId: hook.view.id, nowMs: world.nowMs });
  await store.deleteExpired({ beforeMs: world.nowMs + hour, nowMs: world.nowMs + hour, limit: 10 });
}

import { keyScopes } from "../../src/domain/secrets/key-scopes.ts";
import { newId } from "../../src/domain/ids.ts";
import { commandLine } from "../../src/domain/audit.ts";
import { claimWith, answered, expectKind, hour, placingDraft, secretDraft } from "./store-drafts.ts";
import type { StoreWorld } from "./store-drafts.ts";

/** Calls every operation of the store with every filter that it has. */
export async function live(world: StoreWorld): Promise<void> {
  const { store } = world;
  const { id: accountId } = await world.account();
  const quotas = { maxActiveWatches: 99, maxWatchesPerCall: 99, maxEndpoints: 99, maxHooks: 99 };
  const hook = await world.hook("https://hooks.example/", { events: ["call.*", "endpoint.disabled"], quotas });
  const { view } = await world.watch("OUT-1", { quotas });
  await world.register("OUT-1");
  const { jobs } = await world.see("OUT-1", "queued");
  await world.see("OUT-1", "calling");
  await world.watch("OUT-1", { url: "https://late.example/", polledAtMs: world.nowMs });
  for (const job of jobs) await world.record(job, answered(429));
  world.pass(hour);
  for (const job of (await world.claim()).jobs) await world.record(job, answered(500));
  const endpointId = view.endpoint?.id ?? "";
  // What failed is brought forward by the 2xx of a test.
  await world.record(expectKind(await store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed").job);
  for (const job of (await world.claim()).jobs) await world.record(job, answered(500));
  world.pass(hour);
  await world.release((await world.claim()).jobs);
  for (const state of ["disabled", "enabled"] as const)
    await store.patchEndpoint({ by: null, accountId, endpointId, patch: { state }, nowMs: world.nowMs });
  await store.recover({ by: null, accountId, endpointId, sinceMs: 0, untilMs: world.nowMs, nowMs: world.nowMs });
  await world.record(expectKind(await store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed").job);
  await store.rotateSecret({
    by: null,
    accountId,
    endpointId,
    secret: secretDraft("new"),
    previousValidUntilMs: world.nowMs,
    nowMs: world.nowMs,
  });
  await store.setDefaultSecret({ by: null, accountId, secret: secretDraft("default"), nowMs: world.nowMs });
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
  for (const filter of [{}, { status: "ended" as const }, { callSid: "OUT-1" }])
    await store.listWatchesByMetadata({ ...page, status: null, callSid: null, metadata: { lead: "2" }, ...filter });
  await store.patchWatch({ accountId, watchId: view.watch.id, patch: { metadata: { lead: "2" }, expiresAtMs: world.nowMs + hour } });
  await store.listEndpoints(page);
  await store.readActivity({ accountId, sinceMs: 0, stepMs: hour });
  await store.countAttempts({ accountId, endpointIds: [endpointId, hook.view.endpoint.id], nowMs: world.nowMs });
  await store.listHooks(page);
  await store.listWatchEvents({ ...page, watchId: view.watch.id });
  await store.listTimeline({ ...page, watchId: view.watch.id, deliveriesOfEach: 2 });
  await store.getCall({ accountId, sourceName: "default", callSid: "OUT-1" });
  await store.getEvent(accountId, jobs[0]?.event.id ?? "");
  await store.getDelivery(accountId, jobs[0]?.deliveryId ?? "");
  await store.claimManualRetry({ by: null, accountId, deliveryId: jobs[0]?.deliveryId ?? "", nowMs: world.nowMs });
  await store.findStoredAnswer(claimWith({ id: "key", accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs }));
  await store.keepAnswer({ accountId, watchId: view.watch.id });
  await store.completeAnswer({ id: "key", sealed: new Uint8Array() });
  await store.findAccount(accountId);
  await store.listAudit({ ...page, action: null, sinceMs: world.nowMs, untilMs: null });
  const link = { id: newId("ptl", world.nowMs), accountId, keyId: newId("key", world.nowMs) };
  const key = { id: link.keyId, accountId, name: "portal", fingerprints: ["portal"], scopes: keyScopes, expiresAtMs: null };
  await store.createKey({ ...key, by: null, nowMs: world.nowMs });
  const wish = { can: "look", frameAncestors: ["https://crm.example"], tokenHash: "hash", expiresAtMs: world.nowMs + hour } as const;
  await store.createPortalLink({ ...link, ...wish, by: null, nowMs: world.nowMs });
  await store.findPortalLink(link.id, world.nowMs);
  await store.usePortalLink({ linkId: link.id, accountId, sessionHash: "session", nowMs: world.nowMs });
  await store.listPortalLinks(page);
  await store.revokePortalLink({ accountId, linkId: link.id, by: null, nowMs: world.nowMs });
  await store.listKeys(accountId);
  await store.pageKeys(page);
  await store.listAllAudit({ limit: 3, cursor: null, action: null, sinceMs: null, untilMs: null });
  await store.noteKeyUses([{ keyId: "key_1", usedAtMs: world.nowMs }]);
  await store.announceExpiringKeys({ beforeMs: world.nowMs, nowMs: world.nowMs, limit: 3 });
  await store.revokeKey({ by: null, keyId: "key_1", accountId: null, nowMs: world.nowMs });
  await store.listSources();
  for (const sourceName of ["default", "sandbox", "another"])
    await store.publishSourceEvent({
      type: "source.suspended",
      sourceName,
      state: "suspended",
      reason: null,
      nowMs: world.nowMs,
      afterAccountId: null,
      limit: 5,
    });
  await store.publishOverdue({ registeredUntilMs: world.nowMs, nowMs: world.nowMs, limit: 5 });
  for (const isDisabled of [true, false]) {
    await store.setAccountState({ by: null, accountId, isDisabled, nowMs: world.nowMs });
    await store.listDisabledAccounts();
    await store.parkCalls([{ callId: world.call("OUT-1").callId, lastGoodPollAtMs: world.nowMs }]);
    await world.claim();
  }
  while ((await store.sweepMark({ accountId, nowMs: world.nowMs })).kind !== "nothing");
  await store.listAccounts(world.nowMs);
  await store.recordActivity([{ accountId, minute: 1, polls: 1, lastRequestAtMs: world.nowMs }]);
  await store.readKeyIds();
  for (const place of ["signing_key", "secret", "headers", "credential", "hash_key", "answer", "placing"] as const) {
    await store.listSealed({ place, keyId: "00", afterId: null, limit: 3 });
    const value = { place, id: "?", sealed: new Uint8Array(), resealed: new Uint8Array(), fingerprint: "" };
    await store.replaceSealed([value]);
  }
  await placingLife(world, accountId);
  await store.loadWatchedCalls({ afterCallId: null, limit: 3 });
  await store.readStats();
  await world.watch("OUT-2", { url: "https://gone.example/" });
  for (const job of (await world.see("OUT-2", "queued")).jobs) await world.record(job, answered(410));
  await store.removeWatch({ by: null, accountId, watchId: view.watch.id, purge: false, nowMs: world.nowMs });
  await store.removeWatch({ by: null, accountId, watchId: view.watch.id, purge: true, nowMs: world.nowMs });
  await store.removeHook({ by: null, accountId, hookId: hook.view.id, nowMs: world.nowMs });
  await store.deleteExpired({ beforeMs: world.nowMs + hour, nowMs: world.nowMs + hour, limit: 10 });
  // Counts of attempts by minute, hour and day are folded.
  for (const laterMs of [3, 300, 9000].map((hours) => world.nowMs + hours * hour))
    await store.deleteExpired({ beforeMs: laterMs - 720 * hour, nowMs: laterMs, limit: 10 });
  const doomed = await world.account("doomed");
  await world.watch("OUT-doomed", { accountId: doomed.id });
  await world.hook("https://hooks.example/doomed", { accountId: doomed.id });
  await store.createPlacing(placingDraft(doomed.id, world.nowMs));
  await world.see("OUT-doomed", "queued");
  await store.removeAccount({ accountId: doomed.id, nowMs: world.nowMs });
  while ((await store.sweepMark({ accountId: doomed.id, nowMs: world.nowMs + hour })).kind !== "nothing");
}

/** Calls every operation of placings. */
async function placingLife(world: StoreWorld, accountId: string): Promise<void> {
  const { store } = world;
  const limits = { perMinute: 3, perDay: 9 };
  const drafts = Array.from({ length: 3 }, () => placingDraft(accountId, world.nowMs, { limits }));
  const [placed, lost, dropped] = drafts.map(({ id }) => id);
  for (const draft of drafts) await store.createPlacing(draft);
  for (const { keyHash } of drafts) await store.findPlacing({ accountId, keyHash });
  const watch = await world.watchDraft("OUT-placed", {
    placing: { id: placed ?? "", from: "sending", by: commandLine, lastDigits: "1234" },
  });
  await store.registerWatches([watch]);
  await store.dropPlacing({ accountId, placingId: dropped ?? "" });
  for (const placingId of [lost ?? "", null])
    await store.losePlacings({ placingId, leasedUntilMs: world.nowMs, nowMs: world.nowMs, limit: 10 });
  for (const state of ["unknown", null] as const) await store.listPlacings({ accountId, limit: 5, cursor: null, state });
  await store.getPlacing(accountId, lost ?? "");
  await store.freePlacing({ by: null, accountId, placingId: lost ?? "", isCheckOnly: false, nowMs: world.nowMs });
  await store.removeWatch({ by: null, accountId, watchId: watch.id, purge: true, nowMs: world.nowMs });
}

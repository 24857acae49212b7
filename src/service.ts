import { createLogger } from "./adapters/telemetry/logger.ts";
import { createMetrics } from "./adapters/telemetry/metrics.ts";
import { createSecretBox } from "./adapters/secret-box.ts";
import { waitAtMost } from "./adapters/postgres/patience.ts";
import { WebhookAddressGuard } from "./adapters/webhook/address-guard.ts";
import { createWebhookSender } from "./adapters/webhook/sender.ts";
import type { Config, Secrets } from "./config.ts";
import { StartRefused } from "./domain/errors.ts";
import type { SourceHealth } from "./domain/source.ts";
import type { DeliveryPolicy } from "./domain/retry-policy.ts";
import { generateSigningKeyPair } from "./domain/signature.ts";
import { Authentication } from "./engine/authentication.ts";
import { Cleaner } from "./engine/cleaner.ts";
import { DeliveryGates } from "./engine/delivery-gates.ts";
import { Dispatcher } from "./engine/dispatcher.ts";
import { EndpointAdministration, ensureDefaultAccount, signingKeyIdentity } from "./engine/endpoint-administration.ts";
import { leaseTimes } from "./engine/lease.ts";
import type { LeaseTimes } from "./engine/lease.ts";
import { LiveState } from "./engine/live-state.ts";
import { ManualDelivery } from "./engine/manual-delivery.ts";
import { Notifier } from "./engine/notifier.ts";
import { Ownership } from "./engine/ownership.ts";
import { Poller } from "./engine/poller.ts";
import { Registrar } from "./engine/registrar.ts";
import { Supervisor } from "./engine/supervisor.ts";
import { WebhookComposer } from "./engine/webhook-composer.ts";
import { loadEncryptionKeys } from "./encryption-keys.ts";
import { createApp } from "./http/app.ts";
import { createMetricsApp } from "./http/metrics.ts";
import { listen } from "./http/server.ts";
import type { Listening } from "./http/server.ts";
import { answerWaiting } from "./http/waiting.ts";
import { LastFigures, openStore, untilReachable } from "./open-store.ts";
import type { AccountStore } from "./ports/account-store.ts";
import type { Clock } from "./ports/clock.ts";
import type { SecretBox } from "./ports/secret-box.ts";
import { createSources } from "./sources.ts";

/** A running service. */
export type Service = AsyncDisposable & {
  readonly apiPort: number;
  /** null when it is turned off. */
  readonly metricsPort: number | null;
  /** Resolves when the process must end: the store is broken, or a loop is dead. */
  readonly fatal: Promise<Error>;
  /** Drains within the grace, gives leases back, closes. May be called twice. */
  stop(): Promise<void>;
};

/** What tests put in place of the machine's. */
export type ServiceOverrides = {
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly leaseTimes?: LeaseTimes;
  /** Ends the wait for a database that is away; then `createService` rejects with its reason. */
  readonly signal?: AbortSignal;
};

/** Of the grace: answers under way, then polls and webhooks on the wire, then the store. */
const httpShareOfGrace = 0.2;
const pollShareOfGrace = 0.3;
const deliveryShareOfGrace = 0.4;
const saturatedRetryMs = 60_000;

/** Puts the parts together and starts them; rejects with `StartRefused` when something must be changed first. */
export async function createService(config: Config, secrets: Secrets, overrides: ServiceOverrides = {}): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  const random = overrides.random ?? Math.random;
  const logger = createLogger(config.logLevel);
  const policy = deliveryPolicyOf(config);
  const signal = overrides.signal ?? new AbortController().signal;
  const times = overrides.leaseTimes ?? leaseTimes;
  const isShared = config.database.kind === "postgres";
  const attemptMaxMs = times.leaseMs - times.beyondAttemptMs;
  if (isShared && config.delivery.timeoutMs > attemptMaxMs)
    throw new StartRefused(`DELIVERY_TIMEOUT_MS: must be at most ${attemptMaxMs} with Postgres, within the lease of an instance`);
  // A database that others share is waited for; meanwhile the process says that it lives.
  let answer: (request: Request) => Response | Promise<Response> = answerWaiting;
  const waiting = isShared ? await listen({ fetch: (request) => answer(request) }, config.api) : null;
  stack.defer(() => waiting?.close(0));
  const onCommitted = (durationMs: number) => metrics.committed(durationMs);
  const opened = await openStore({ config, secrets, policy, logger, clock: overrides.clock ?? null, signal, onCommitted });
  const { store, shared, clock } = opened;
  stack.defer(() => opened.close());
  const figures = new LastFigures(store);
  const metrics = createMetrics(config.version, async () => ({
    store: await figures.read(),
    oldestDuePollMs: poller.oldestDueMs(),
    nowMs: clock.nowMs(),
  }));
  const databasePath = config.database.kind === "sqlite" ? config.database.path : ":memory:";
  const secretBox = createSecretBox(loadEncryptionKeys(secrets.encryptionKeys, databasePath));
  const prepare = () => prepareAccounts(store, secretBox, clock, secrets.apiKey);
  await (shared === null ? prepare() : untilReachable(prepare, signal));

  const ownPorts: number[] = [];
  const guard = new WebhookAddressGuard({ ...config.callbacks, publicUrl: config.api.publicUrl, ownPorts: () => ownPorts });
  const sender = createWebhookSender(guard, { connectTimeoutMs: config.delivery.timeoutMs });
  stack.defer(() => sender.close());
  const sources = createSources(config, secrets, clock);
  for (const { callSource } of sources.setups) stack.defer(() => callSource.close());
  const notifier = new Notifier(clock);
  stack.defer(() => notifier.stop());
  const { delivery } = config;
  const gates = new DeliveryGates({ clock, ...delivery });
  const composer = new WebhookComposer({ secretBox, accounts: store, publicUrl: config.api.publicUrl, version: config.version });
  const mayStart = () => ownership?.mayStart() ?? true;
  const sharing = shared === null ? {} : { mayStart };
  const dispatcher: Dispatcher = new Dispatcher({
    store,
    sender,
    composer,
    gates,
    clock,
    logger,
    metrics,
    timeoutMs: delivery.timeoutMs,
    maxAttempts: delivery.scheduleMs.length,
    onUnwatched: (callIds) => {
      for (const callId of callIds) poller.rewatch(callId, null);
    },
    notify: (notices) => notifier.publish(notices),
    ...sharing,
    random,
  });
  const poller: Poller = new Poller({
    sources: sources.setups,
    store,
    clock,
    logger,
    metrics,
    random,
    dispatch: (jobs) => dispatcher.accept(jobs),
    notify: (notices) => notifier.publish(notices),
    onSourceChange: (health, change) => (ownership === null ? tellHooks(health, change) : ownership.announce(health, change)),
    ...sharing,
    ...(shared === null ? {} : { outlivesStore: true, onShared: (name, part) => ownership?.shared(name, part) }),
  });
  const tellHooks = ({ name, state, reason }: SourceHealth, change: "suspended" | "resumed"): void => {
    const event = { type: `source.${change}` as const, sourceName: name, state, reason, nowMs: clock.nowMs() };
    store.publishSourceEvent(event).then(
      ({ jobs }) => dispatcher.accept(jobs),
      (error: unknown) => logger.warn({ source: name, error: String(error) }, "source.event_failed"),
    );
  };
  const ownership: Ownership | null =
    shared === null
      ? null
      : new Ownership({
          store: shared.ownership,
          releaseDeliveries: (leases) => store.releaseDeliveries(leases),
          clock,
          logger,
          version: config.version,
          times,
          poller,
          dispatcher,
          gates,
          notifier,
          announcer: shared.announcer,
          onInstances: (count) => metrics.instances(count),
          onSourceChange: tellHooks,
        });

  const supervisor = new Supervisor({
    clock,
    logger,
    metrics,
    // It is the database's clock where several see it: one of them acts.
    onClockSetBack: async (deltaMs) => (ownership?.isEldest === false ? undefined : store.shiftSchedule(deltaMs)),
  });
  const cleaner = new Cleaner({ store, clock, retentionDays: config.retentionDays });
  supervisor.add({ name: "poller", everyMs: poller.tickEveryMs, tick: () => poller.tick() });
  if (ownership === null) supervisor.add({ name: "dispatcher", everyMs: dispatcher.tickEveryMs, tick: () => dispatcher.tick() });
  else {
    // The sweep says when a delivery is due.
    supervisor.add({ name: "heartbeat", everyMs: ownership.heartbeatEveryMs, tick: () => ownership.heartbeat() });
    supervisor.add({ name: "sweep", everyMs: ownership.sweepEveryMs, tick: () => ownership.sweep() });
  }
  supervisor.add({ name: "cleaner", everyMs: cleaner.tickEveryMs, tick: () => cleaner.tick() });

  let stopping = false;
  const isStoreReachable = () => ownership?.isStoreReachable ?? true;
  const live = new LiveState({
    poller,
    notifier,
    supervisor,
    store,
    sources: sources.registrable,
    isStopping: () => stopping,
    isStoreReachable,
  });
  const registration = new Registrar({
    store,
    secretBox,
    guard,
    allowHttp: config.callbacks.allowHttp,
    clock,
    sources: sources.registrable,
    quotas: config.limits,
    watchDeadlineMs: config.polling.watchDeadlineMs,
    consumers: {
      watch: (call) => poller.watch(call),
      rewatch: (callId, call) => poller.rewatch(callId, call),
      lastGoodPollAtMs: (name, scope, callSid) => poller.lastGoodPollAtMs(name, scope, callSid),
      saturation: (name, additional) => (poller.isSaturated(name, additional) ? saturatedRetryMs : null),
      dispatch: (jobs) => dispatcher.accept(jobs),
      notify: (notices) => notifier.publish(notices),
      cancelWatch: (watchId) => dispatcher.cancelWatch(watchId),
      cancelEndpoint: (endpointId) => dispatcher.cancelEndpoint(endpointId),
    },
  });
  if (ownership === null || shared === null) await poller.start();
  else {
    opened.onTrouble = () => ownership.noteTrouble();
    shared.onFenced(() => ownership.rejoin());
    shared.listen((what) => ownership.hear(what));
    await ownership.start();
  }
  const wake = () => dispatcher.wake();
  const app = createApp({
    registration,
    endpointAdministration: new EndpointAdministration({ store, secretBox, clock, wake }),
    manualDelivery: new ManualDelivery({ store, clock, sendNow: (job) => dispatcher.sendNow(job), wake }),
    live,
    authentication: new Authentication(store, secretBox, clock),
    store,
    clock,
    logger,
    metrics,
    limits: config.limits,
    version: config.version,
  });
  answer = (request) => app.fetch(request);
  const api = waiting ?? (await listen(app, config.api));
  stack.defer(() => api.close(0));
  const metricsServer =
    config.metrics.port === 0
      ? null
      : await listen(
          createMetricsApp(() => metrics.render()),
          config.metrics,
        );
  stack.defer(() => metricsServer?.close(0));
  ownPorts.push(...[api, metricsServer].filter((server): server is Listening => server !== null).map((server) => server.port));
  supervisor.start();
  logger.info(
    { version: config.version, port: api.port, metrics_port: metricsServer?.port ?? null, watched_calls: poller.watchedCount },
    "service.started",
  );

  const resources = stack.move();
  let stopped: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    stopping = true;
    const graceMs = config.shutdownGraceMs;
    notifier.stop();
    ownership?.drain();
    await api.close(graceMs * httpShareOfGrace);
    await supervisor.stop();
    const finishing = Promise.all([poller.stop(graceMs * pollShareOfGrace), dispatcher.stop(graceMs * deliveryShareOfGrace)]);
    if (ownership === null) await finishing;
    // A database that does not answer takes nothing back: then the lease runs out.
    else
      await waitAtMost(
        graceMs,
        finishing.then(() => ownership.stop()),
      );
    await resources.disposeAsync();
    logger.info({}, "service.stopped");
  };
  return {
    apiPort: api.port,
    metricsPort: metricsServer?.port ?? null,
    fatal: Promise.race([store.fatal, supervisor.fatal]),
    stop: () => (stopped ??= stop()),
    [Symbol.asyncDispose]: () => (stopped ??= stop()),
  };
}

/** Refuses a start without an account, or with keys that do not open what lies in the database: nothing could be signed. */
async function prepareAccounts(store: AccountStore, secretBox: SecretBox, clock: Clock, apiKey: string | null): Promise<void> {
  const known = await store.findOldestAccount();
  if (known === null && apiKey === null)
    throw new StartRefused("there is no account: set RINGBACK_API_KEY, or make one with `npm run ringback -- account create <name>`");
  try {
    if (known !== null) secretBox.open(known.sealedSigningKey, signingKeyIdentity(known.id));
  } catch (error) {
    throw new StartRefused(`the encryption key does not fit the database: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (apiKey !== null) await ensureDefaultAccount({ store, secretBox, clock, apiKey, makeSigningKey: generateSigningKeyPair });
}

function deliveryPolicyOf({ delivery }: Config): DeliveryPolicy {
  return {
    scheduleMs: delivery.scheduleMs,
    jitterRatio: 0.2,
    orderHoldMs: delivery.orderHoldMs,
    disableAfterMs: delivery.disableAfterMs,
    disableMinAttempts: 10,
    pauseMinMs: 5000,
    pauseMaxMs: 300_000,
  };
}

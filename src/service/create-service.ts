import { createLogger, logDestination } from "../adapters/telemetry/logger.ts";
import { createMetrics } from "../adapters/telemetry/metrics.ts";
import { waitAtMost } from "../adapters/wait-at-most.ts";
import { WebhookAddressGuard } from "../adapters/webhook/address-guard.ts";
import { createWebhookSender } from "../adapters/webhook/sender.ts";
import { createEngine } from "./create-engine.ts";
import type { Engine } from "./create-engine.ts";
import type { Config, Secrets } from "./config.ts";
import { StartupError } from "../domain/errors.ts";
import type { DeliveryPolicy } from "../domain/deliveries/retry-policy.ts";
import { AccountAdministration } from "../engine/administration/accounts.ts";
import { leaseTimes } from "../engine/instances/membership.ts";
import type { LeaseTimes } from "../engine/instances/membership.ts";
import { createApp } from "../http/app.ts";
import { createMetricsApp } from "../http/routes/metrics.ts";
import { listen } from "../http/server/server.ts";
import type { Fetchable, Listening } from "../http/server/server.ts";
import { answerWaiting } from "../http/server/starting-app.ts";
import { openKeyring } from "./open-keyring.ts";
import type { Keyring } from "./open-keyring.ts";
import { openStore, readStatsOf, untilReachable } from "./open-store.ts";
import type { Clock } from "../ports/clock.ts";
import type { ServiceStore } from "../ports/stores/service-store.ts";
import type { Logger } from "../ports/telemetry.ts";
import { createSources, sourceKinds } from "./create-sources.ts";

/** A running service; disposing stops it. */
export type Service = AsyncDisposable & {
  readonly apiPort: number;
  /** `null` if the metrics server is disabled. */
  readonly metricsPort: number | null;
  /** Resolves when the process must end, because the store is broken or a loop is dead. */
  readonly fatal: Promise<Error>;
  /** Answers `/readyz` with 503 from now on. Resolves after `SHUTDOWN_DELAY_MS`, in which balancers notice. May be called twice. */
  announceStop(): Promise<void>;
  /** Announces the stop, drains within the grace, releases leases and closes. May be called twice. */
  stop(): Promise<void>;
};

/** Replacements for tests. */
export type ServiceOverrides = {
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly logger?: Logger;
  readonly leaseTimes?: LeaseTimes;
  /** Ends the wait for an unavailable database; then `createService` rejects with its reason. */
  readonly signal?: AbortSignal;
};

/** Part of the grace that is reserved for releasing leases and closing the store. */
const closingRatio = 0.1;
const maxClosingMs = 1000;

/** Creates the service and starts it. Rejects with `StartupError` if the operator must change something first. */
export async function createService(config: Config, secrets: Secrets, overrides: ServiceOverrides = {}): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  const random = overrides.random ?? Math.random;
  const logger = overrides.logger ?? createLogger(config.logLevel);
  for (const warning of config.warnings) logger.warn({ warning }, "config.warning");
  const policy = deliveryPolicyOf(config);
  const signal = overrides.signal ?? new AbortController().signal;
  const times = overrides.leaseTimes ?? leaseTimes;
  const isShared = config.database.kind === "postgres";
  const attemptMaxMs = times.leaseMs - times.beyondAttemptMs;
  if (isShared && config.delivery.timeoutMs > attemptMaxMs)
    throw new StartupError(`DELIVERY_TIMEOUT_MS: must be at most ${attemptMaxMs} with Postgres, within the lease of an instance`);
  // The start waits for a shared database; meanwhile the health check answers.
  let answer: Fetchable["fetch"] = answerWaiting;
  // The bindings name the connection: routes read the body from it, within its limit, and the address of its peer.
  const waiting = isShared
    ? await setBy("PORT, HOST", listen({ fetch: (request, bindings) => answer(request, bindings) }, config.api))
    : null;
  stack.defer(() => waiting?.close(0));
  const onCommitted = (durationMs: number) => metrics.committed(durationMs);
  const opening = openStore({ config, secrets, policy, logger, clock: overrides.clock ?? null, signal, onCommitted });
  const opened = await setBy("DATABASE_URL", opening);
  const { store, shared, clock } = opened;
  stack.defer(() => opened.close());
  const metrics = createMetrics(config.version, async () => ({
    // While the database does not answer heartbeats, a scrape leaves out its numbers.
    store: engine.isStoreReachable() ? await readStatsOf(store) : null,
    lostLogLines: logDestination.lostLines,
    oldestDuePollMs: engine.poller.sources.oldestDueMs(),
    nowMs: clock.nowMs(),
  }));
  const prepare = () => prepareAccounts(store, config, secrets, clock);
  const keyring = await (shared === null ? prepare() : untilReachable(prepare, signal));

  const ownPorts: number[] = [];
  const guard = new WebhookAddressGuard({ ...config.callbacks, publicUrl: config.api.publicUrl, ownPorts: () => ownPorts });
  const sender = createWebhookSender(guard, { connectTimeoutMs: config.delivery.timeoutMs });
  stack.defer(() => sender.close());
  const sources = createSources(config, secrets, clock);
  stack.defer(() => sources.close());
  let stopping = false;
  const engine: Engine = createEngine({
    config,
    opened,
    keyring,
    sources,
    guard,
    sender,
    logger,
    metrics,
    leaseTimes: times,
    random,
    isStopping: () => stopping,
  });
  stack.defer(() => engine.close());
  // The metrics port is bound before the engine joins the instances: a start that is refused here, again and again, moves
  // no calls between the other instances.
  const metricsApp = createMetricsApp(() => metrics.render(), logger);
  const metricsServer = config.metrics.port === 0 ? null : await setBy("METRICS_PORT, METRICS_HOST", listen(metricsApp, config.metrics));
  stack.defer(() => metricsServer?.close(0));
  await engine.start(signal);
  const app = createApp({
    ...engine,
    store,
    secretBox: keyring.secretBox,
    clock,
    logger,
    metrics,
    limits: config.limits,
    retentionDays: config.retentionDays,
    sourceKinds,
    endpointMaxInFlight: config.delivery.endpointMaxInFlight,
    publicUrl: config.api.publicUrl,
    version: config.version,
  });
  answer = app.fetch;
  const api = waiting ?? (await setBy("PORT, HOST", listen(app, config.api)));
  stack.defer(() => api.close(0));
  ownPorts.push(...[api, metricsServer].filter((server): server is Listening => server !== null).map((server) => server.port));
  engine.supervisor.start();
  logger.info(
    { version: config.version, port: api.port, metrics_port: metricsServer?.port ?? null, watched_calls: engine.poller.sources.callCount },
    "service.started",
  );

  const resources = stack.move();
  const fatal = Promise.race([store.fatal, engine.supervisor.fatal]);
  let announced: Promise<void> | null = null;
  const announceStop = async (): Promise<void> => {
    stopping = true;
    opened.announceStop();
    if (config.shutdownDelayMs > 0) await (announced ??= waitAtMost(config.shutdownDelayMs, fatal));
  };
  let stopped: Promise<void> | null = null;
  // Requests, loops, polls and webhooks finish side by side within the whole grace.
  const stop = async (): Promise<void> => {
    await announceStop();
    // A grace of 0 aborts what is in flight; the leases are released all the same.
    const endsAtMs = clock.monotonicMs() + Math.max(config.shutdownGraceMs, maxClosingMs);
    const graceMs = config.shutdownGraceMs - Math.min(config.shutdownGraceMs * closingRatio, maxClosingMs);
    // If the database does not answer, the leases run out instead.
    await waitAtMost(endsAtMs - clock.monotonicMs(), Promise.all([engine.drain(graceMs), api.close(graceMs)]));
    await waitAtMost(endsAtMs - clock.monotonicMs(), engine.leave());
    await resources.disposeAsync();
    logger.info({}, "service.stopped");
  };
  return {
    apiPort: api.port,
    metricsPort: metricsServer?.port ?? null,
    fatal,
    announceStop,
    stop: () => (stopped ??= stop()),
    [Symbol.asyncDispose]: () => (stopped ??= stop()),
  };
}

/** Prefixes a `StartupError` with the variables that can be changed. */
function setBy<T>(names: string, starting: Promise<T>): Promise<T> {
  return starting.catch((error: unknown) => {
    throw error instanceof StartupError ? new StartupError(`${names}: ${error.message}`, { cause: error }) : error;
  });
}

/** Loads the keys and creates the account of `RINGBACK_API_KEY`. Rejects with `StartupError` if there is no account at all. */
export async function prepareAccounts(store: ServiceStore, config: Config, secrets: Secrets, clock: Clock): Promise<Keyring> {
  if (secrets.apiKey === null && (await store.findOldestAccount()) === null)
    throw new StartupError("there is no account: set RINGBACK_API_KEY, or make one with `npm run ringback -- account create <name>`");
  const databasePath = config.database.kind === "sqlite" ? config.database.path : null;
  const keyring = await openKeyring(store, { encryptionKeys: secrets.encryptionKeys, databasePath });
  await store.setServerKeys(keyring.secretBox.keyIds);
  if (secrets.apiKey !== null)
    await new AccountAdministration({ store, clock, ...keyring }).ensureDefaultAccount(secrets.apiKey, config.mayPlace);
  return keyring;
}

/** Returns how deliveries are retried, as the operator configured it. */
export function deliveryPolicyOf({ delivery }: Config): DeliveryPolicy {
  return {
    scheduleMs: delivery.scheduleMs,
    jitterRatio: 0.2,
    orderHoldMs: delivery.orderHoldMs,
    disableAfterMs: delivery.disableAfterMs,
    disableMinAttempts: 10,
    failingAfterMs: delivery.failingAfterMs,
    failingMinAttempts: 3,
    pauseMinMs: 5000,
    pauseMaxMs: 300_000,
    rateLimitedHosts: [...delivery.hostRateLimits.keys()],
  };
}

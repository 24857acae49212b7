import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import pRetry from "p-retry";
import { systemClock } from "../adapters/clock.ts";
import type { OpenPostgres } from "../adapters/postgres/opening.ts";
import { checkLocks } from "../adapters/sqlite/connection/lock-check.ts";
import { isServerStopping, markStopping } from "../adapters/sqlite/connection/server-lock.ts";
import { openSqliteStore } from "../adapters/sqlite/store.ts";
import type { Config, Secrets } from "./config.ts";
import { StoreUnavailableError } from "../domain/errors.ts";
import type { DeliveryPolicy } from "../domain/deliveries/retry-policy.ts";
import type { Clock } from "../ports/clock.ts";
import type { ServiceStore, StoreStats, StoreLifecycle } from "../ports/stores/service-store.ts";
import type { Logger } from "../ports/telemetry.ts";

/** Time for which a record waits for others to share its commit; about the time between two commits under load. */
export const recordLingerMs = 5;
/** Time between two looks at a server that is stopping. */
const predecessorPollMs = 100;

export type OpenStoreOptions = {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly policy: DeliveryPolicy;
  readonly logger: Logger;
  /** Replaces the machine's clock unless `null`. */
  readonly clock: Clock | null;
  /** Ends the wait for an unavailable database. */
  readonly signal: AbortSignal;
  readonly onCommitted: (durationMs: number) => void;
};

export type OpenStore = {
  readonly store: ServiceStore;
  /** Coordination with the other instances on a shared database; `null` if this process has the store alone. */
  readonly shared: OpenPostgres | null;
  /** Clock of all instances that share the store. */
  readonly clock: Clock;
  /** Makes a start on the same database wait for the end of this service. May be called twice. */
  announceStop(): void;
  close(): Promise<void>;
};

/** Opens the database of `DATABASE_URL`. Rejects with `StartupError`, or with the signal's reason. */
export async function openStore(options: OpenStoreOptions): Promise<OpenStore> {
  const { config, secrets, policy, logger, signal, onCommitted } = options;
  const machineClock = options.clock ?? systemClock;
  if (config.database.kind === "sqlite") {
    const { path } = config.database;
    if (path !== ":memory:") {
      await waitForPredecessor(config, path, logger, signal);
      await checkLocks(path);
    }
    const isNew = path !== ":memory:" && !existsSync(path);
    // Another process that keeps a snapshot open, such as a backup tool, is the usual reason.
    const onLongLog = (bytes: number) => logger.warn({ path: `${path}-wal`, bytes }, "store.log_too_long");
    const store = await openSqliteStore({ path, onLongLog, policy, clock: machineClock, onCommitted, recordLingerMs });
    if (isNew) logger.info({ path }, "database.created");
    const announceStop = () => (path === ":memory:" ? undefined : markStopping(path));
    return { store, shared: null, clock: machineClock, announceStop, close: () => store.close() };
  }
  const { delivery } = config;
  const limits = { endpointMaxInFlight: delivery.endpointMaxInFlight, hostMaxInFlight: delivery.hostMaxInFlight };
  const connectionString = secrets.postgresUrl ?? "";
  // Loaded lazily so that SQLite deployments never import `pg`.
  const { openPostgres } = await import("../adapters/postgres/opening.ts");
  const shared = await openPostgres({ connectionString, policy, limits, logger, machineClock, signal, onCommitted });
  return { store: shared.store, shared, clock: shared.clock, announceStop: () => undefined, close: () => shared.close() };
}

/**
 * Waits for a server that says that it is stopping, as in a rolling update on one volume, at most as long as a stop takes. Any
 * other server is left to the lock, which refuses the start. Rejects with the signal's reason.
 */
async function waitForPredecessor(config: Config, path: string, logger: Logger, signal: AbortSignal): Promise<void> {
  const endsAtMs = performance.now() + config.shutdownDelayMs + config.shutdownGraceMs;
  for (let isFirst = true; isServerStopping(path) && performance.now() < endsAtMs; isFirst = false) {
    if (isFirst) logger.warn({ path }, "store.waiting_for_stop");
    await sleep(predecessorPollMs, null, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Repeats `work` while the store is unavailable; rejects with the signal's reason if that ends the wait. */
export function untilReachable<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return pRetry(work, { retries: Infinity, minTimeout: 500, maxTimeout: 5000, randomize: true, signal, shouldRetry: isUnreachable });
}

function isUnreachable({ error }: { readonly error: Error }): boolean {
  return error instanceof StoreUnavailableError;
}

/** Reads the gauges of a scrape; `null` if the store is unavailable. */
export async function readStatsOf(store: Pick<StoreLifecycle, "readStats">): Promise<StoreStats | null> {
  try {
    return await store.readStats();
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    return null;
  }
}

import { useKeys } from "../../domain/ids.ts";
import { StartupError, StoreUnavailableError } from "../../domain/errors.ts";
import type { DeliveryPolicy } from "../../domain/deliveries/retry-policy.ts";
import { messageOf } from "../../domain/error-text.ts";
import type { InstanceSignal, PeerNotifier } from "../../ports/peer-notifier.ts";
import type { Clock } from "../../ports/clock.ts";
import type { InstanceStore } from "../../ports/stores/instance-store.ts";
import type { AdministrationStore, ServiceStore } from "../../ports/stores/service-store.ts";
import type { SharedSourceStore } from "../../ports/stores/shared-source-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { ChangeKind } from "../sql/queries.ts";
import { waitAtMost } from "../wait-at-most.ts";
import { DatabaseClock } from "./connection/database-clock.ts";
import { Database } from "./connection/database.ts";
import type { InFlightLimits } from "./connection/queries.ts";
import { Instances } from "./instances/instance-rows.ts";
import { reserveKeys } from "./keys/id-slots.ts";
import { migrate } from "./migrate.ts";
import { Notifications } from "./instances/notifications.ts";
import { sharedFlows } from "../sql/operation-flows.ts";
import { bindOperations } from "./operations.ts";
import { startupErrorOf } from "./connection/startup-errors.ts";
import { createSharedSourceStore } from "./instances/source-gates.ts";
import { createPostgresStore } from "./store.ts";
import pRetry, { AbortError } from "p-retry";

export type PostgresOptions = {
  readonly connectionString: string;
  readonly policy: DeliveryPolicy;
  readonly limits: InFlightLimits;
  readonly logger: Logger;
  readonly machineClock: Clock;
  /** Ends the wait for a database that cannot be reached. */
  readonly signal: AbortSignal;
  /** Called after each transaction with the duration of its commit. */
  readonly onCommitted: (durationMs: number) => void;
};

/** A database shared by several instances, as one process uses it. */
export type OpenPostgres = {
  readonly store: ServiceStore;
  readonly instances: InstanceStore & SharedSourceStore;
  /** A clock whose wall time is the database's. */
  readonly clock: Clock;
  readonly peerNotifier: PeerNotifier;
  /** Starts to listen for signals of other instances. */
  listen(onSignal: (what: ReadonlySet<InstanceSignal>) => void): void;
  /** Sets the function by which an evicted instance joins again. */
  onFenced(rejoin: () => Promise<void>): void;
  /** Calls `listener` once for each statement or transaction that failed with `StoreUnavailableError`. */
  onUnavailable(listener: () => void): void;
  /** Sends pending signals and closes all connections. */
  close(): Promise<void>;
};

const closeWithinMs = 2000;
const retry = { retries: Infinity, minTimeout: 500, maxTimeout: 10_000, randomize: true } as const;

const signalOf: Readonly<Record<ChangeKind, InstanceSignal | null>> = {
  events: "events",
  deliveries: "deliveries",
  calls: "calls",
  watches: "watches",
  accounts: null,
  sources: "sources",
};

/**
 * Migrates and opens the database. Waits while the server cannot be reached, and rejects with the signal's reason if that ends
 * the wait. Rejects with `StartupError` if waiting does not help.
 */
export async function openPostgres(options: PostgresOptions): Promise<OpenPostgres> {
  const { connectionString, logger, signal } = options;
  let isWaiting = false;
  const prepare = async (): Promise<void> => {
    try {
      await migrate(connectionString);
    } catch (error) {
      const startupError = await startupErrorOf(error, connectionString);
      if (startupError !== null) throw new AbortError(startupError);
      if (!isWaiting) logger.warn({ error: messageOf(error) }, "store.unreachable");
      isWaiting = true;
      throw new StoreUnavailableError(messageOf(error), { cause: error });
    }
  };
  await pRetry(prepare, { ...retry, signal });
  const opened = assemble(options);
  try {
    // The time is read before the clock is used, because the machine's own clock may be wrong.
    await pRetry(() => opened.prepare(), { ...retry, signal, shouldRetry: ({ error }) => error instanceof StoreUnavailableError });
    return opened;
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/**
 * Opens the database for administration, beside running instances and without a row in `instances`. Does not wait for a
 * server that cannot be reached: rejects with `StartupError`. `migrations` is the number of migrations applied.
 */
export async function openPostgresAdministration(
  connectionString: string,
): Promise<{ readonly store: AdministrationStore; readonly migrations: number }> {
  const migrations = await migrate(connectionString).catch(async (error: unknown) => {
    throw (
      (await startupErrorOf(error, connectionString)) ??
      new StartupError(`the database of DATABASE_URL cannot be reached: ${messageOf(error)}`, { cause: error })
    );
  });
  // Administration cannot detect running instances, so it always signals.
  const owner = { token: null, hasPeers: true };
  const onChanged = (kinds: ReadonlySet<ChangeKind>) => notifyAllPeers(peerNotifier, kinds);
  const db = new Database({ connectionString, policy: null, owner, poolSize: 2, onChanged });
  const peerNotifier = new Notifications({ connectionString, db, onSignal: () => undefined });
  const close = async () => {
    await peerNotifier.close();
    await db.close();
  };
  try {
    useKeys(await reserveKeys(db));
  } catch (error) {
    await close();
    throw error;
  }
  return { store: { ...bindOperations(db), close }, migrations };
}

function notifyAllPeers(peerNotifier: PeerNotifier, kinds: ReadonlySet<ChangeKind>): void {
  for (const kind of kinds) {
    const what = signalOf[kind];
    if (what !== null) peerNotifier.signal(what);
  }
}

function assemble(options: PostgresOptions): OpenPostgres & { prepare(): Promise<void> } {
  const { connectionString, policy, limits, logger, machineClock, onCommitted } = options;
  const owner = { token: null as number | null, hasPeers: false, rejoin: undefined as (() => Promise<void>) | undefined };
  let onUnavailable: (() => void) | null = null;
  let receive: ((what: ReadonlySet<InstanceSignal>) => void) | null = null;
  const db = new Database({
    connectionString,
    policy,
    owner: owner as Database["owner"],
    limits,
    onCommitted,
    onUnavailable: () => onUnavailable?.(),
    onChanged: (kinds) => notifyAllPeers(peerNotifier, kinds),
  });
  const peerNotifier = new Notifications({ connectionString, db, onSignal: (what) => receive?.(what) });
  const clock = new DatabaseClock(machineClock);
  // A heartbeat does not wait for other work of the instance that holds its connections.
  const instances = new Instances({ db: db.of(sharedFlows.membership), clock, notifyPeers: (what) => peerNotifier.signal(what) });
  const gates = createSharedSourceStore(db, () => peerNotifier.signal("sources"));
  const store = createPostgresStore(db);
  return {
    store,
    instances: Object.assign(instances, gates),
    async prepare() {
      const sentAtMonotonicMs = clock.monotonicMs();
      const row = await db.get("select (extract(epoch from clock_timestamp()) * 1000)::double precision as now_ms");
      clock.recordDatabaseTime(row?.["now_ms"] as number, sentAtMonotonicMs);
      await db.beginEpoch();
      // Until the instance joins and has a slot.
      useKeys(await reserveKeys(db));
    },
    clock,
    peerNotifier,
    listen(onSignal) {
      receive = onSignal;
      peerNotifier.start(logger);
    },
    onFenced(rejoin) {
      owner.rejoin = rejoin;
    },
    onUnavailable(listener) {
      onUnavailable = listener;
    },
    async close() {
      await Promise.all([peerNotifier.close(), waitAtMost(closeWithinMs, store.close())]);
    },
  };
}

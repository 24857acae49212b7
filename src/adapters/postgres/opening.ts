import { messageOf } from "../error-message.ts";
import { StartupError, StoreUnavailableError } from "../../domain/errors.ts";
import type { DeliveryPolicy } from "../../domain/deliveries/retry-policy.ts";
import type { InstanceSignal, PeerNotifier } from "../../ports/peer-notifier.ts";
import type { Clock } from "../../ports/clock.ts";
import type { InstanceStore } from "../../ports/stores/instance-store.ts";
import type { AdministrationStore, ServiceStore } from "../../ports/stores/service-store.ts";
import type { SharedSourceStore } from "../../ports/stores/shared-source-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import { DatabaseClock } from "./connection/database-clock.ts";
import { Database } from "./connection/database.ts";
import type { ChangeKind, InFlightLimits } from "./connection/database.ts";
import { Instances } from "./instances/instance-rows.ts";
import { migrate } from "./migrate.ts";
import { Notifications } from "./instances/notifications.ts";
import { bindOperations } from "./operations.ts";
import { refusalOf } from "./connection/refusal.ts";
import { waitAtMost } from "../wait-at-most.ts";
import { createSharedSourceStore } from "./instances/source-gates.ts";
import { createPostgresStore } from "./store.ts";
import pRetry, { AbortError } from "p-retry";

export type PostgresOptions = {
  readonly connectionString: string;
  readonly policy: DeliveryPolicy;
  readonly limits: InFlightLimits;
  readonly logger: Logger;
  readonly machineClock: Clock;
  /** Ends the wait for a database that is away. */
  readonly signal: AbortSignal;
  readonly onCommitted: (durationMs: number) => void;
};

/** What a process has of a database that several share. */
export type OpenPostgres = {
  readonly store: ServiceStore;
  readonly instances: InstanceStore & SharedSourceStore;
  /** Its wall clock is the database's. */
  readonly clock: Clock;
  readonly peerNotifier: PeerNotifier;
  /** Listens for other instances from now on. */
  listen(onSignal: (what: ReadonlySet<InstanceSignal>) => void): void;
  /** How an evicted instance joins anew. */
  onFenced(rejoin: () => Promise<void>): void;
  /** Sends what was announced, and lets go of the database. */
  close(): Promise<void>;
};

const closeWithinMs = 3000;
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
 * Migrates and opens. A server that cannot be reached is waited for; rejects with `StartupError` for what somebody must
 * change first, with the signal's reason when that ends the wait.
 */
export async function openPostgres(options: PostgresOptions): Promise<OpenPostgres> {
  const { connectionString, logger, signal } = options;
  let isWaiting = false;
  const prepare = async (): Promise<void> => {
    try {
      await migrate(connectionString);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal !== null) throw new AbortError(refusal);
      if (!isWaiting) logger.warn({ error: messageOf(error) }, "store.unreachable");
      isWaiting = true;
      throw new StoreUnavailableError(messageOf(error), { cause: error });
    }
  };
  await pRetry(prepare, { ...retry, signal });
  const opened = assemble(options);
  try {
    // Before anybody looks at the clock: the machine's may be wrong.
    await pRetry(() => opened.readTime(), { ...retry, signal, shouldRetry: ({ error }) => error instanceof StoreUnavailableError });
    return opened;
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/**
 * The same database for administration, beside instances that may be running on it: no lease, no row of its own. A server
 * that cannot be reached is not waited for. `migrations`: how many it took to bring the schema up to date.
 */
export async function openPostgresAdministration(
  connectionString: string,
): Promise<{ readonly store: AdministrationStore; readonly migrations: number }> {
  const migrations = await migrate(connectionString).catch((error: unknown) => {
    throw refusalOf(error) ?? new StartupError(`the database of DATABASE_URL cannot be reached: ${messageOf(error)}`, { cause: error });
  });
  // It knows nobody, so everybody is told.
  const owner = { token: null, hasPeers: true };
  const onChanged = (kinds: ReadonlySet<ChangeKind>) => notifyAllPeers(peerNotifier, kinds);
  const db = new Database({ connectionString, policy: null, owner, poolSize: 2, onChanged });
  const peerNotifier = new Notifications({ connectionString, db, onSignal: () => undefined });
  const close = async () => {
    await peerNotifier.close();
    await db.close();
  };
  return { store: { ...bindOperations(db), close }, migrations };
}

function notifyAllPeers(peerNotifier: PeerNotifier, kinds: ReadonlySet<ChangeKind>): void {
  for (const kind of kinds) {
    const what = signalOf[kind];
    if (what !== null) peerNotifier.signal(what);
  }
}

function assemble(options: PostgresOptions): OpenPostgres & { readTime(): Promise<void> } {
  const { connectionString, policy, limits, logger, machineClock, onCommitted } = options;
  const owner = { token: null as number | null, hasPeers: false, rejoin: undefined as (() => Promise<void>) | undefined };
  let receive: ((what: ReadonlySet<InstanceSignal>) => void) | null = null;
  const db = new Database({
    connectionString,
    policy,
    owner: owner as Database["owner"],
    limits,
    onCommitted,
    onChanged: (kinds) => notifyAllPeers(peerNotifier, kinds),
  });
  const peerNotifier = new Notifications({ connectionString, db, onSignal: (what) => receive?.(what) });
  const clock = new DatabaseClock(machineClock);
  const instances = new Instances({ db, clock, notifyPeers: (what) => peerNotifier.signal(what) });
  const gates = createSharedSourceStore(db, () => peerNotifier.signal("sources"));
  const store = createPostgresStore(db);
  return {
    store,
    instances: Object.assign(instances, gates),
    async readTime() {
      const sentAtMonotonicMs = clock.monotonicMs();
      const row = await db.get("select (extract(epoch from clock_timestamp()) * 1000)::double precision as now_ms");
      clock.note(row?.["now_ms"] as number, sentAtMonotonicMs);
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
    async close() {
      await peerNotifier.close();
      await waitAtMost(closeWithinMs, store.close());
    },
  };
}

import { noStore, postgresStore, redisStore, sqliteStore } from "./peer-store.ts";
import type { PeerStore } from "./peer-store.ts";
import { startProgram, startRingback } from "./running-peer.ts";
import type { Load, RunningPeer } from "./running-peer.ts";

/** One way to do the job. */
export type Peer = {
  readonly name: string;
  /** Whether it is a queue that others maintain. */
  readonly isQueue: boolean;
  /** What is on disk before a webhook is sent, and after what. */
  readonly durability: string;
  /** What is missing is lost if nothing has arrived for this time after a restart. */
  readonly recoveryMs: number;
  /** Resolves with `null` if this machine lacks the store. */
  openStore(): Promise<PeerStore | null>;
  start(load: Load, store: string): Promise<RunningPeer>;
};

/** Nothing recovers without a store: the time covers the retries of what is sent after the restart. */
const withoutStoreMs = 8000;
/** Several times what any of them takes, locks of 5 s included, because the time is spent only if something is missing. */
const withStoreMs = 30_000;

const program = (module: string) => (load: Load, store: string) => startProgram(module, load, store);

const nothingStored = { isQueue: false, durability: "none: everything is in memory", recoveryMs: withoutStoreMs, openStore: noStore };

export const ringbackOnSqlite: Peer = {
  name: "Ringback on SQLite",
  isQueue: false,
  durability: "synced commit before the webhook",
  recoveryMs: withStoreMs,
  openStore: sqliteStore,
  start: startRingback,
};

export const bareLoop: Peer = { name: "bare loop", ...nothingStored, start: program("bare-loop-program.ts") };

/** Returns all peers; those on Postgres share a server. */
export function peersOn(server: { readonly url: string; readonly pid: number }): readonly Peer[] {
  const onPostgres = { openStore: () => postgresStore(server) };
  return [
    ringbackOnSqlite,
    {
      name: "Ringback on Postgres",
      isQueue: false,
      durability: "synced commit before the webhook",
      recoveryMs: withStoreMs,
      ...onPostgres,
      start: startRingback,
    },
    bareLoop,
    { name: "naive bridge: timer and fetch per call", ...nothingStored, start: program("naive-bridge-program.ts") },
    {
      name: "BullMQ on Redis, `appendfsync always`",
      isQueue: true,
      durability: "append-only file synced before each answer of Redis",
      recoveryMs: withStoreMs,
      openStore: () => redisStore("always"),
      start: program("bullmq-program.ts"),
    },
    {
      name: "BullMQ on Redis, `appendfsync everysec`",
      isQueue: true,
      durability: "append-only file synced once a second: a power failure loses a second",
      recoveryMs: withStoreMs,
      openStore: () => redisStore("everysec"),
      start: program("bullmq-program.ts"),
    },
    {
      name: "pg-boss on Postgres",
      isQueue: true,
      durability: "synced commit before the webhook",
      recoveryMs: withStoreMs,
      ...onPostgres,
      start: program("pg-boss-program.ts"),
    },
    {
      name: "graphile-worker on Postgres",
      isQueue: true,
      durability: "synced commit before the webhook; a restart unlocks the jobs of the killed process",
      recoveryMs: withStoreMs,
      ...onPostgres,
      start: program("graphile-worker-program.ts"),
    },
  ];
}

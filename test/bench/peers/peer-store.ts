import { randomUUID } from "node:crypto";
import { asAdministrator, databaseUrl, startEmbedded } from "../../harness/postgres/postgres-server.ts";
import { benchDatabase } from "../bench-service.ts";
import { descendants } from "../machine/processor-time.ts";
import { startRedis } from "./redis-server.ts";
import type { AppendFsync } from "./redis-server.ts";

/** An empty store for one measurement. `pid` is the process that has it, with its descendants; 0 if the store is in the service's own. */
export type PeerStore = AsyncDisposable & { readonly address: string; readonly pid: number };
type Postgres = { readonly url: string; readonly pid: number };

/** Returns no store. */
export async function noStore(): Promise<PeerStore> {
  return { address: "", pid: 0, [Symbol.asyncDispose]: async () => undefined };
}

/** Creates a database file. */
export async function sqliteStore(): Promise<PeerStore> {
  const database = await benchDatabase();
  return { address: database.url, pid: 0, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
}

/** Starts a Redis server; `null` if there is no `redis-server` on the PATH. */
export async function redisStore(appendfsync: AppendFsync): Promise<PeerStore | null> {
  const redis = await startRedis(appendfsync);
  return redis === null ? null : { address: String(redis.port), pid: redis.pid, [Symbol.asyncDispose]: () => redis.stop() };
}

/** Creates a database on a server. */
export async function postgresStore(server: Postgres): Promise<PeerStore> {
  const name = `peer_${randomUUID().replaceAll("-", "")}`;
  await asAdministrator(server.url, `create database ${name}`);
  return {
    address: databaseUrl(server.url, name),
    pid: server.pid,
    [Symbol.asyncDispose]: () => asAdministrator(server.url, `drop database ${name} with (force)`),
  };
}

/** Starts the Postgres server of all peers; every commit is synced. */
export async function startPostgres(): Promise<Postgres & AsyncDisposable> {
  const server = await startEmbedded();
  const [postmaster = 0] = await descendants(server.pid);
  return { url: server.url, pid: postmaster, [Symbol.asyncDispose]: () => server.stop() };
}

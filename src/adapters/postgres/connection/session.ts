import type { Row } from "../../sql/rows.ts";
import { toClientUrl } from "./connection-string.ts";
import type { Value } from "./queries.ts";
import pg from "pg";

export const connectTimeoutMs = 4000;
const statementTimeoutMs = 5000;
const lockTimeoutMs = 4000;
/**
 * Time after which an instance that is frozen inside a transaction loses its locks, so that other instances obtain them within
 * their lock timeout. A healthy instance whose event loop stalls for this time repeats its transaction.
 */
const idleInTransactionTimeoutMs = 2500;
/** Errors of sessions that broke while no statement was running; later statements fail without this reason. */
const breaks = new WeakMap<object, Error>();

/** Named statements by their text, shared by all connections. */
const statements = new Map<string, { readonly name: string; readonly text: string }>();

export function statementOf(sql: string, values: readonly Value[]): pg.QueryConfig {
  let statement = statements.get(sql);
  if (statement === undefined) {
    statement = { name: `s${statements.size}`, text: sql.replaceAll(/\?(?=\d)/g, "$") };
    statements.set(sql, statement);
  }
  return { name: statement.name, text: statement.text, values: values.map(toSql) };
}

/** Replaces NUL characters, which text from outside may contain and Postgres does not store. */
function toSql(value: Value): unknown {
  if (typeof value === "string") return value.includes("\0") ? value.replaceAll("\0", "\uFFFD") : value;
  return Array.isArray(value) ? value.map(toSql) : value;
}

/** Creates a pool. `onSession` runs on every new connection before its first use. */
export function createPool(connectionString: string, max: number, onSession: (client: pg.ClientBase) => Promise<void>): pg.Pool {
  const pool = new pg.Pool({
    connectionString: toClientUrl(connectionString),
    max,
    application_name: "ringback",
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    pipeline: true,
    types: { getTypeParser: typeParserOf },
    onConnect: async (client) => {
      await prepareSession(client);
      await onSession(client);
    },
  });
  // The pool drops an idle connection that breaks; a used one rejects its statement.
  pool.on("error", () => undefined);
  pool.on("connect", (client) =>
    client.on("error", (error) => {
      // The first error is the reason that the server gives; the error of the closed socket follows.
      if (!breaks.has(client)) breaks.set(client, error);
    }),
  );
  return pool;
}

/** Opens a connection outside the pool. Later errors of the connection are ignored, because its statements reject as well. */
export async function connectClient(connectionString: string, applicationName: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: toClientUrl(connectionString),
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    types: { getTypeParser: typeParserOf },
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    // A client whose connection was refused halfway keeps its socket; `end` may not answer, so it is not awaited.
    client.end().catch(() => undefined);
    throw error;
  }
}

/** Returns the error by which the session broke while no statement was running; `null` if there is none. */
export function breakOf(client: pg.ClientBase): Error | null {
  return breaks.get(client) ?? null;
}

/**
 * Planner settings. They are set by a statement, because poolers reject unknown parameters in the startup packet. Every
 * statement of the store is written to use an index and to join its tables in the order named. A plan made for an empty
 * table is kept and must also serve a full one, so it must not depend on the statistics.
 */
export const planSettings = `
  set plan_cache_mode = force_generic_plan;
  set enable_seqscan = off;
  set enable_hashjoin = off;
  set enable_mergejoin = off;
  set join_collapse_limit = 1;
  set jit = off`;
const sessionSettings = `
  set statement_timeout = ${statementTimeoutMs};
  set lock_timeout = ${lockTimeoutMs};
  set idle_in_transaction_session_timeout = ${idleInTransactionTimeoutMs};
  ${planSettings};
  select current_setting('synchronous_commit') as value`;

/** Sets up a session so that a commit is answered only when it is on the server's disk, regardless of the server's default. */
async function prepareSession(client: pg.ClientBase): Promise<void> {
  const bounded = { query_timeout: connectTimeoutMs };
  // `pg` returns an array of results for several statements.
  const results = (await client.query<Row>({ text: sessionSettings, ...bounded })) as unknown as readonly pg.QueryResult<Row>[];
  if (results.at(-1)?.rows[0]?.["value"] === "off") await client.query({ text: "set synchronous_commit = on", ...bounded });
}

/** Type ids of int8, numeric and xid8, which are read as numbers. */
const numberOids = new Set([20, 1700, 5069]);
/** Type id of int8[]. */
const numbersOid = 1016;

function typeParserOf(oid: number, format?: "text" | "binary"): (value: string) => unknown {
  if (numberOids.has(oid)) return Number;
  return oid === numbersOid ? numbersOf : (pg.types.getTypeParser(oid, format as "text") as (value: string) => unknown);
}

/** Reads an array of numbers without nulls: `{1,2}`. */
function numbersOf(array: string): readonly number[] {
  return array === "{}" ? [] : array.slice(1, -1).split(",").map(Number);
}

/** Returns the timeout of a statement. A statement that times out ends its connection, because no later statement of the pipeline could be answered. */
export function timeoutBy(deadlineMs: number): { readonly query_timeout: number } {
  return { query_timeout: Math.max(1, Math.ceil(deadlineMs - performance.now())) };
}

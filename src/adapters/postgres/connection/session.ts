import type { Row } from "../../sql/rows.ts";
import { toClientUrl } from "./connection-string.ts";
import type { Value } from "./queries.ts";
import pg from "pg";

const connectTimeoutMs = 4000;
const statementTimeoutMs = 5000;
const lockTimeoutMs = 4000;
/**
 * An instance that is frozen inside a transaction keeps its locks for so long: others that wait for them still get them
 * within their lock timeout. A healthy one whose event loop stalls as long has its transaction run again.
 */
const idleInTransactionTimeoutMs = 2500;
/** Sessions that broke while no statement of theirs was under way, and why: later statements are not told. */
const breaks = new WeakMap<object, Error>();

/** Statements get their names here, process-wide: a connection may have been prepared by any transaction. */
const statementNames = new Map<string, string>();

export function statementOf(sql: string, values: readonly Value[]): pg.QueryConfig {
  let name = statementNames.get(sql);
  if (name === undefined) {
    name = `s${statementNames.size}`;
    statementNames.set(sql, name);
  }
  return { name, text: sql, values: values.map(toSql) };
}

/** Postgres has no text with a NUL; what comes from outside may. */
function toSql(value: Value): unknown {
  if (typeof value === "string") return value.includes("\0") ? value.replaceAll("\0", "\uFFFD") : value;
  return Array.isArray(value) ? value.map(toSql) : value;
}

export function createPool(connectionString: string, max: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString: toClientUrl(connectionString),
    max,
    application_name: "ringback",
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    pipeline: true,
    types: { getTypeParser: typeParserOf },
    onConnect: prepareSession,
  });
  // A connection that breaks while nobody uses it is dropped by the pool; whoever uses it hears of it by its statement.
  pool.on("error", () => undefined);
  pool.on("connect", (client) =>
    client.on("error", (error) => {
      // What the server says comes first; that the socket is closed follows.
      if (!breaks.has(client)) breaks.set(client, error);
    }),
  );
  return pool;
}

/** Why the session broke, where no statement of it was told; null while it has not. */
export function breakOf(client: pg.ClientBase): Error | null {
  return breaks.get(client) ?? null;
}

/**
 * Set by a statement, not in the startup packet: poolers refuse what they do not know there. Every statement of ours is
 * meant to go by an index and joins in the order it names its tables, whatever those held when it was planned: the plan made
 * for an empty table is kept and must do for a full one.
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

/** Whatever the server's default is: an answer means that it is on disk there. */
async function prepareSession(client: pg.ClientBase): Promise<void> {
  const bounded = { query_timeout: connectTimeoutMs };
  // Of several statements there are several results.
  const results = (await client.query<Row>({ text: sessionSettings, ...bounded })) as unknown as readonly pg.QueryResult<Row>[];
  if (results.at(-1)?.rows[0]?.["value"] === "off") await client.query({ text: "set synchronous_commit = on", ...bounded });
}

/** int8, numeric and xid8 as numbers. */
const numberOids = new Set([20, 1700, 5069]);

function typeParserOf(oid: number, format?: "text" | "binary"): (value: string) => unknown {
  return numberOids.has(oid) ? Number : (pg.types.getTypeParser(oid, format as "text") as (value: string) => unknown);
}

/** A statement that is not answered by then ends with its connection: in a pipeline nothing behind it could be. */
export function timeoutBy(deadlineMs: number): { readonly query_timeout: number } {
  return { query_timeout: Math.max(1, Math.ceil(deadlineMs - performance.now())) };
}

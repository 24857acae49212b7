import { StartupError } from "../../../domain/errors.ts";
import { messageOf } from "../../../domain/error-text.ts";
import { connectClient } from "./session.ts";
import type pg from "pg";

const timeoutMs = 4000;
const bounded = { query_timeout: timeoutMs };
/** Number of times that a pooler gets the chance to give a session another server connection. */
const rounds = 3;

type Facts = {
  readonly encoding: string;
  readonly schema: string | null;
  readonly role: string;
  readonly pid: number;
  readonly may_create: boolean | null;
};

/** Rejects with `StartupError` if the database, the role or a pooler in between is not as the service needs it. */
export async function refuseUnsuitable(client: pg.Client, connectionString: string): Promise<void> {
  const text = `select current_setting('server_encoding') as encoding, current_schema() as schema, current_user as role, pg_backend_pid() as pid,
    has_schema_privilege(current_schema(), 'create') as may_create`;
  const [facts] = (await client.query<Facts>({ text, ...bounded })).rows;
  if (facts === undefined) throw new Error("a select without a table returned no row");
  const { encoding, schema, role, pid, may_create: mayCreate } = facts;
  if (encoding !== "UTF8")
    throw refusal(`has the encoding ${encoding}: create one with \`create database <name> encoding 'UTF8' template template0\``);
  if (schema === null)
    throw refusal(
      `has no schema for the tables, because the search_path of role ${role} names none that exists: set it with \`alter role ${role} set search_path = public\``,
    );
  if (mayCreate !== true)
    throw refusal(`does not let role ${role} create tables in schema ${schema}: use \`grant create on schema ${schema} to ${role}\``);
  // A direct connection shows the process that serves it. A pooler makes a number up.
  if ((client as unknown as { readonly processID: number | null }).processID !== pid) await refuseSharedSessions(client, connectionString);
}

/**
 * Rejects if a pooler gives the connections of its clients away after each transaction or statement. A session has settings,
 * statements, locks and subscriptions of its own, and they would be lost or another client's. Another client takes the server
 * connection that the first one has just used, and holds it: only in a session of its own does the first one still have it.
 */
async function refuseSharedSessions(client: pg.Client, connectionString: string): Promise<void> {
  let other: pg.Client | null = null;
  try {
    // A pooler that keeps a session for as long as it has settings of its own is good enough.
    await client.query({ text: "set ringback.session = 'kept'", ...bounded });
    for (let round = 0; round < rounds; round++) {
      other = await connectClient(connectionString, "ringback start");
      const before = await pidOf(client);
      await other.query({ text: "begin", ...bounded });
      await pidOf(other);
      const after = await pidOf(client);
      await other.query("rollback");
      if (before !== after) throw pooled("transaction");
      await other.end();
    }
  } catch (error) {
    if (/statement pooling mode/.test(messageOf(error))) throw pooled("statement");
    // Every server connection of the pooler is held, and the first client waits for the one that it had.
    if (/read timeout/i.test(messageOf(error))) throw pooled("transaction");
    throw error;
  } finally {
    other?.end().catch(() => undefined);
  }
}

function pooled(mode: "transaction" | "statement"): StartupError {
  return refusal(
    `is reached through a pooler in ${mode} mode, which does not keep sessions: set it to session mode, or name the server itself`,
  );
}

function refusal(what: string): StartupError {
  return new StartupError(`the database of DATABASE_URL ${what}`);
}

async function pidOf(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>({ text: "select pg_backend_pid() as pid", ...bounded });
  return rows[0]?.pid;
}

import pg from "pg";
import { expect, test } from "vitest";
import { startupErrorOf } from "../../../src/adapters/postgres/connection/startup-errors.ts";

/** Errors as PgBouncer sends them: every one has the SQLSTATE of a violated protocol. */
function ofPooler(message: string): pg.DatabaseError {
  const error = new pg.DatabaseError(message, message.length, "error");
  error.code = "08P01";
  return error;
}

const url = "postgres://ringback@127.0.0.1:6432/ringback";

test.each([
  "no such database: nope",
  "no such user: ghost",
  'database "nope" does not exist',
  'role "ghost" does not exist',
  '"trust" authentication failed',
  "password authentication failed",
  "SASL authentication failed",
  "unsupported startup parameter: search_path",
])("what a pooler refuses for good is refused with its words: %s", async (message) => {
  expect((await startupErrorOf(ofPooler(message), url))?.message).toBe(`the database of DATABASE_URL cannot be used: ${message}`);
});

test.each([
  "server login has been failing, try again later (server_login_retry)",
  "connect failed",
  "no more connections allowed (max_client_conn)",
  "query_wait_timeout",
  "the database system is starting up",
])("what may pass is waited for: %s", async (message) => {
  expect(await startupErrorOf(ofPooler(message), url)).toBeNull();
});

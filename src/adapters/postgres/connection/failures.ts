import { RingbackError, StoreUnavailableError } from "../../../domain/errors.ts";
import { messageOf } from "../../../domain/error-text.ts";
import pg from "pg";

/** Thrown inside a transaction to repeat it, because another transaction changed what it had read. */
export class TransactionOvertakenError extends RingbackError {
  constructor() {
    super("transaction-overtaken", "other transactions changed the same rows on every attempt");
  }
}

/** The server canceled a statement that took too long or waited too long for a lock. Its transaction wrote nothing. */
export class StatementTimeoutError extends StoreUnavailableError {}

/** SQLSTATEs of a canceled statement and of a lock that was not available in time. */
const timeouts = new Set(["57014", "55P03"]);
/**
 * SQLSTATEs after which a transaction is repeated: deadlock, serialization failure, a cached plan whose tables a newer
 * version changed (a new connection makes a new plan), and a session that was ended while idle in a transaction (nothing
 * was committed).
 */
const conflicts = new Set(["40P01", "40001", "0A000", "25P03"]);
/**
 * SQLSTATEs of a unique or foreign key that a concurrent change made this transaction violate. The next try reads that
 * change. A violation that persists is a bug.
 */
const overtakings = new Set(["23505", "23503"]);
/** SQLSTATEs after which a connection is discarded: closing, broken, to a server that became a replica, or with outdated plans. */
const brokenStates = /^(?:08|57P|25006|25P03|0A000)/;
/** SQLSTATEs of temporary failures of the server: connection refused, timeout, shutdown, out of disk, memory or connections, replica. */
const unavailableStates = /^(?:08|53|57|58|55P03|25006|25P0[123]|F0|XX)/;

/** Returns whether an immediate retry may succeed. */
export function isTransient(error: unknown): boolean {
  const state = sqlStateOf(error) ?? "";
  return error instanceof TransactionOvertakenError || conflicts.has(state) || overtakings.has(state);
}

/** Maps a transient error after the last try. */
export function afterLastTry(error: unknown): unknown {
  return overtakings.has(sqlStateOf(error) ?? "") ? error : new StoreUnavailableError(messageOf(error), { cause: error });
}

/** Returns whether the connection must not be used again. */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof RingbackError) return false;
  const state = sqlStateOf(error);
  return state === null ? isPgClientError(error) : brokenStates.test(state);
}

/** Maps temporary failures to `StoreUnavailableError`; returns transient errors, typed errors and bugs unchanged. */
export function toStoreError(error: unknown): unknown {
  if (error instanceof RingbackError || isTransient(error)) return error;
  const state = sqlStateOf(error);
  if (state !== null && timeouts.has(state)) return new StatementTimeoutError(`the database failed: ${messageOf(error)}`, { cause: error });
  const isTemporary = state === null ? isPgClientError(error) : unavailableStates.test(state);
  return isTemporary ? new StoreUnavailableError(`the database failed: ${messageOf(error)}`, { cause: error }) : error;
}

/** Returns the SQLSTATE (five characters) of an error of the server; `null` for other errors. */
function sqlStateOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return error instanceof pg.DatabaseError && typeof code === "string" ? code : null;
}

/** Returns whether the error comes from a socket or from `pg` itself, not from a bug of ours. */
function isPgClientError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return typeof (error as NodeJS.ErrnoException).syscall === "string" || /connection|read timeout|not queryable/i.test(error.message);
}

import { messageOf } from "../../error-message.ts";
import { RingbackError, StoreUnavailableError } from "../../../domain/errors.ts";
import pg from "pg";

/** Thrown inside a transaction: what it read was overtaken by another one; it is rolled back and run again. */
export class TransactionOvertakenError extends RingbackError {
  constructor() {
    super("transaction-overtaken", "another transaction was faster too often");
  }
}

/**
 * Deadlock and serialization failure; a plan whose tables a newer version has changed, which a new connection makes anew;
 * and a session ended because it stood still inside its transaction, which can therefore not have been committed.
 */
const conflicts = new Set(["40P01", "40001", "0A000", "25P03"]);
/** A unique value that somebody made, a row referred to that somebody deleted a moment ago: the next try sees it. Or a bug. */
const overtakings = new Set(["23505", "23503"]);
/** Connections of no more use: going away, broken, to a server that became a replica, or with plans that hold no more. */
const brokenStates = /^(?:08|57P|25006|25P03|0A000)/;
/** Passing trouble of the server: cannot connect now, timeouts, shutting down, out of disk, memory or connections, a replica. */
const unavailableStates = /^(?:08|53|57|58|55P03|25006|25P0[123]|F0|XX)/;

/** Worth another try at once. */
export function isTransient(error: unknown): boolean {
  const state = sqlStateOf(error) ?? "";
  return error instanceof TransactionOvertakenError || conflicts.has(state) || overtakings.has(state);
}

/** What a transient error comes to when no try helped. */
export function afterLastTry(error: unknown): unknown {
  return overtakings.has(sqlStateOf(error) ?? "") ? error : new StoreUnavailableError(messageOf(error), { cause: error });
}

/** Whether the connection must not be used again. */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof RingbackError) return false;
  const state = sqlStateOf(error);
  return state === null ? isPgClientError(error) : brokenStates.test(state);
}

/** `StoreUnavailableError` for passing trouble; transient errors, agreements broken and bugs as they are. */
export function toStoreError(error: unknown): unknown {
  if (error instanceof RingbackError || isTransient(error)) return error;
  const state = sqlStateOf(error);
  const passing = state === null ? isPgClientError(error) : unavailableStates.test(state);
  return passing ? new StoreUnavailableError(`the database failed: ${messageOf(error)}`, { cause: error }) : error;
}

/** Five letters or digits: what the server answers. */
function sqlStateOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return error instanceof pg.DatabaseError && typeof code === "string" ? code : null;
}

/** Errors of sockets and of `pg` itself, told from our own bugs. */
function isPgClientError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return typeof (error as NodeJS.ErrnoException).syscall === "string" || /connection|read timeout|not queryable/i.test(error.message);
}

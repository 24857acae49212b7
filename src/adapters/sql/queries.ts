import type { Row } from "./rows.ts";

/** A value that both databases bind to a parameter. */
export type SqlValue = string | number | boolean | Uint8Array | null;

/** Kind of data that a committed transaction changed and that other instances may wait for. */
export type ChangeKind = "events" | "deliveries" | "calls" | "watches" | "accounts" | "sources";

/**
 * Statements in the SQL that both databases understand, with `?1`, `?2` for their values. SQLite answers at once, Postgres
 * with a promise. Statements that do not depend on each other's results may be sent together, but only all at once: if one
 * failed while another part of the operation still had statements to send, SQLite would run these after the rollback.
 */
export interface SqlQueries {
  all(sql: string, ...values: readonly SqlValue[]): readonly Row[] | Promise<readonly Row[]>;
  get(sql: string, ...values: readonly SqlValue[]): Row | undefined | Promise<Row | undefined>;
  /** Returns the number of rows changed. */
  run(sql: string, ...values: readonly SqlValue[]): number | Promise<number>;
}

/** Statements of one transaction. */
export interface SqlTransaction extends SqlQueries {
  /** Clause that locks the selected rows until the transaction ends. Empty in SQLite, which has one writer. */
  readonly rowLock: string;
  /** Kinds of changes, published after the commit. SQLite publishes none. */
  readonly changed?: Pick<Set<ChangeKind>, "add">;
}

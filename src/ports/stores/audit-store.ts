import type { Actor, AuditAction, AuditEntry } from "../../domain/audit.ts";
import type { Page, PageRequest } from "./read-store.ts";

export type AuditRow = Omit<AuditEntry, "nowMs" | "detail"> & {
  readonly id: string;
  /** JSON of the detail. */
  readonly detail: string;
  readonly atMs: number;
  readonly actor: Actor;
};

/** Filter of rows. Times are inclusive. */
export type AuditFilter = {
  readonly action: AuditAction | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
};

/**
 * Rows of changes and of their actors. An operation that changes something writes the row in its own transaction. Each request
 * names its actor as `by`; it is `null` for a change that no person or program requested, which leaves no row. A request that
 * changes nothing leaves no row either.
 */
export interface AuditStore {
  /** Lists a page of the rows of an account, newest first. */
  listAudit(query: PageRequest & AuditFilter & { readonly accountId: string }): Promise<Page<AuditRow>>;
  /** Lists a page of the rows of all accounts and of none, newest first, for the operator. */
  listAllAudit(query: PageRequest & AuditFilter): Promise<Page<AuditRow>>;
}

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
 * What was changed, and by whom. The operations that change something write the rows in their own transactions: each request
 * names its actor as `by`, which is `null` for a change that no person or program asked for, and then leaves no row. A request
 * that changes nothing leaves none either.
 */
export interface AuditStore {
  /** Lists a page of the rows of an account, newest first. */
  listAudit(query: PageRequest & AuditFilter & { readonly accountId: string }): Promise<Page<AuditRow>>;
  /** Lists a page of the rows of all accounts and of none, newest first, for the operator. */
  listAllAudit(query: PageRequest & AuditFilter): Promise<Page<AuditRow>>;
}

import type { Database } from "../connection/database.ts";

/** How much of its quotas an account uses; triggers keep it. */
export function usageOf(db: Database, accountId: string): { readonly activeWatches: number; readonly endpoints: number } {
  const row = db.get("select active, endpoints from account_usage where account_id = ?", accountId);
  return { activeWatches: Number(row?.["active"] ?? 0), endpoints: Number(row?.["endpoints"] ?? 0) };
}

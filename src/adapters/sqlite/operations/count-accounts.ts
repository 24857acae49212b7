import type { Database } from "../database.ts";

export function countAccounts(db: Database): number {
  return db.get("select count(*) as n from accounts")?.["n"] as number;
}

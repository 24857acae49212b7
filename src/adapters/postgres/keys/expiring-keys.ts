import { keyExpiring } from "../../../domain/events/operational-events.ts";
import type { AccountStore } from "../../../ports/stores/account-store.ts";
import { dueKey, markExpiringKeys } from "../../sql/accounts/api-keys.ts";
import { publishOperationalEvents } from "../attempts/operational-events.ts";
import type { Database } from "../connection/database.ts";
import type { Transaction } from "../connection/transaction.ts";

export const composites = { announceExpiringKeys };

/** A sweep that finds no key costs one statement. */
async function announceExpiringKeys(
  db: Database,
  request: Parameters<AccountStore["announceExpiringKeys"]>[0],
): ReturnType<AccountStore["announceExpiringKeys"]> {
  const due = await db.get(`select 1 from api_keys where ${dueKey} limit 1`, request.beforeMs);
  if (due === undefined) return { announced: 0, jobs: [], notices: [] };
  return db.ownerTransaction((tx, token) => announceMarked(tx, token, request));
}

async function announceMarked(
  tx: Transaction,
  token: number,
  request: Parameters<AccountStore["announceExpiringKeys"]>[0],
): ReturnType<AccountStore["announceExpiringKeys"]> {
  const keys = await markExpiringKeys(tx, request);
  const drafts = keys.map(({ accountId, keyId }) => keyExpiring(accountId, keyId, request.nowMs));
  return { announced: keys.length, ...(await publishOperationalEvents(tx, token, drafts)) };
}

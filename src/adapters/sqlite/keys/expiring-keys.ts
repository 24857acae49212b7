import { keyExpiring } from "../../../domain/events/operational-events.ts";
import type { AccountStore } from "../../../ports/stores/account-store.ts";
import { markExpiringKeys } from "../../sql/accounts/api-keys.ts";
import { publishOperationalEvent } from "../attempts/operational-events.ts";
import type { Database } from "../connection/database.ts";

export const writes = { announceExpiringKeys };

async function announceExpiringKeys(
  db: Database,
  request: Parameters<AccountStore["announceExpiringKeys"]>[0],
): ReturnType<AccountStore["announceExpiringKeys"]> {
  const keys = await markExpiringKeys(db, request);
  const published = keys.map(({ accountId, keyId }) => publishOperationalEvent(db, keyExpiring(accountId, keyId, request.nowMs)));
  return { announced: keys.length, jobs: published.flatMap(({ jobs }) => jobs), notices: published.flatMap(({ notices }) => notices) };
}

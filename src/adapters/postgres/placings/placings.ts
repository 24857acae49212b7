import { decodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { CreatePlacingResult, PlacingDraft, PlacingStore } from "../../../ports/stores/placing-store.ts";
import { callUnknown, insertPlacing, markUnknown } from "../../sql/placings/placings.ts";
import { publishOperationalEvents } from "../attempts/operational-events.ts";
import type { Transaction } from "../connection/transaction.ts";
import { LockedEndpoints, lockAccounts } from "../registration/locked-endpoints.ts";

export const writes = { createPlacing };
export const ownerWrites = { losePlacings };

/** The account is locked, so that placings of several instances are counted one after the other. */
async function createPlacing(tx: Transaction, draft: PlacingDraft): Promise<CreatePlacingResult> {
  const { accountId, endpoint, needsHook, quotas, nowMs } = draft;
  const accountKey = decodeId(accountId);
  const { accounts, usage } = await lockAccounts(tx, [accountKey], quotas.maxActiveWatches > 0 || quotas.maxEndpoints > 0);
  if (needsHook) {
    const hook = await tx.get("select 1 from hooks where account_id = $1 and disabled_at is null limit 1", accountKey);
    if (hook === undefined) return { kind: "callback_required" };
  }
  const exceeded = checkQuota(quotas, "maxActiveWatches", () => usage.get(accountId)?.activeWatches ?? 0);
  if (exceeded !== null) return exceeded;
  if (endpoint !== null) {
    // The endpoint is compared and not written: the watch creates it once there is a call.
    const named = { accountId, draft: endpoint };
    const found = (await LockedEndpoints.load(tx, accounts, [named], usage)).name(named, quotas, nowMs);
    if (found.kind !== "endpoint") return found;
  }
  return draft.isCheckOnly ? { kind: "checked" } : insertPlacing(tx, draft);
}

async function losePlacings(
  tx: Transaction,
  token: number,
  request: Parameters<PlacingStore["losePlacings"]>[0],
): ReturnType<PlacingStore["losePlacings"]> {
  const placings = await markUnknown(tx, request);
  const published = await publishOperationalEvents(
    tx,
    token,
    placings.map((placing) => callUnknown(placing, request.nowMs)),
  );
  return { placings, ...published };
}

import { decodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { CreatePlacingResult, PlacingDraft, PlacingStore } from "../../../ports/stores/placing-store.ts";
import { callUnknown, insertPlacing, markUnknown } from "../../sql/placings/placings.ts";
import { publishOperationalEvent } from "../attempts/operational-events.ts";
import type { Database } from "../connection/database.ts";
import { checkEndpoint, readUsage } from "../registration/endpoints.ts";

export const writes = { createPlacing, losePlacings };

function createPlacing(db: Database, draft: PlacingDraft): CreatePlacingResult | Promise<CreatePlacingResult> {
  const accountKey = decodeId(draft.accountId);
  const { endpoint, needsHook, quotas, nowMs } = draft;
  if (needsHook && db.get("select 1 from hooks where account_id = ? and disabled_at is null limit 1", accountKey) === undefined)
    return { kind: "callback_required" };
  const exceeded = checkQuota(quotas, "maxActiveWatches", () => readUsage(db, accountKey).activeWatches);
  if (exceeded !== null) return exceeded;
  const found = endpoint === null ? null : checkEndpoint(db, accountKey, endpoint, quotas, nowMs);
  if (found !== null && found.kind !== "endpoint") return found;
  return draft.isCheckOnly ? { kind: "checked" } : insertPlacing(db, draft);
}

async function losePlacings(db: Database, request: Parameters<PlacingStore["losePlacings"]>[0]): ReturnType<PlacingStore["losePlacings"]> {
  const placings = await markUnknown(db, request);
  const published = placings.map((placing) => publishOperationalEvent(db, callUnknown(placing, request.nowMs)));
  return { placings, jobs: published.flatMap(({ jobs }) => jobs), notices: published.flatMap(({ notices }) => notices) };
}

import { sandboxSourceName } from "../../../domain/sources/sandbox.ts";
import { defaultSourceName } from "../../../domain/sources/source-settings.ts";
import type { OperationalStore } from "../../../ports/stores/service-store.ts";
import type { Database } from "../connection/database.ts";
import { publishOperational } from "./operational-events.ts";
import type { Published } from "./operational-events.ts";
import { text } from "../../sql/rows.ts";

export function publishSourceEvent(db: Database, event: Parameters<OperationalStore["publishSourceEvent"]>[0]): Published {
  const { type, sourceName, state, reason, nowMs } = event;
  const accounts = db.all(
    `select a.id from accounts a where exists (select 1 from hooks h where h.account_id = a.id) and (${mayUse(sourceName)})`,
    ...(isBuiltIn(sourceName) ? [] : [sourceName]),
  );
  const data = { endpointId: null, deliveryId: null, source: sourceName, state, reason, observedAtMs: nowMs };
  const published = accounts.map((row) =>
    publishOperational(db, { type, accountId: text(row, "id"), exceptEndpointId: null, nowMs, data }),
  );
  return { jobs: published.flatMap(({ jobs }) => jobs), notices: published.flatMap(({ notices }) => notices) };
}

function isBuiltIn(sourceName: string): boolean {
  return sourceName === sandboxSourceName || sourceName === defaultSourceName;
}

/** Nobody may use a source that is not there (any more). */
function mayUse(sourceName: string): string {
  if (sourceName === sandboxSourceName) return "true";
  if (sourceName === defaultSourceName) return "a.uses_default_source = 1";
  return "exists (select 1 from sources s where s.name = ?1 and (s.account_id is null or s.account_id = a.id))";
}

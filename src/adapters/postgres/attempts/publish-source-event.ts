import { sandboxSourceName } from "../../../domain/sources/sandbox.ts";
import { defaultSourceName } from "../../../domain/sources/source-settings.ts";
import type { OperationalStore } from "../../../ports/stores/service-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { insertEvents } from "../deliveries/event-rows.ts";
import { lockAccountHooks, noticesOf, operationalEvents } from "./operational-events.ts";
import { text } from "../../sql/rows.ts";

export async function publishSourceEvent(
  tx: Transaction,
  token: number,
  event: Parameters<OperationalStore["publishSourceEvent"]>[0],
): Promise<Awaited<ReturnType<OperationalStore["publishSourceEvent"]>>> {
  const { type, sourceName, state, reason, nowMs } = event;
  const accounts = await tx.all(
    `select a.id from accounts a where exists (select 1 from hooks h where h.account_id = a.id) and (${mayUse(sourceName)}) order by a.id`,
    ...(isBuiltIn(sourceName) ? [] : [sourceName]),
  );
  const data = { endpointId: null, deliveryId: null, source: sourceName, state, reason, observedAtMs: nowMs };
  const news = accounts.map((row) => ({ type, accountId: text(row, "id"), exceptEndpointId: null, nowMs, data }));
  const hooks = await lockAccountHooks(
    tx,
    accounts.map((row) => text(row, "id")),
    { toDelete: false },
  );
  const events = operationalEvents(news, hooks).filter((one) => one !== null);
  const jobs = await insertEvents(tx, token, events);
  return { jobs: events.flatMap((one) => jobs.get(one) ?? []), notices: noticesOf(events) };
}

function isBuiltIn(sourceName: string): boolean {
  return sourceName === sandboxSourceName || sourceName === defaultSourceName;
}

/** Nobody may use a source that is not there (any more). */
function mayUse(sourceName: string): string {
  if (sourceName === sandboxSourceName) return "true";
  if (sourceName === defaultSourceName) return "a.uses_default_source";
  return "exists (select 1 from sources s where s.name = $1 and (s.account_id is null or s.account_id = a.id))";
}

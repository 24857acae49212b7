import { sandboxSourceName } from "../../../domain/sandbox.ts";
import type { OperationalStore } from "../../../ports/service-store.ts";
import type { SendJob } from "../../../ports/send-job.ts";
import type { Transaction } from "../database.ts";
import { insertEvents } from "../tables/deliveries.ts";
import { operationalEvents } from "../tables/operational-events.ts";
import { text } from "../tables/rows.ts";

export async function publishSourceEvent(
  tx: Transaction,
  token: number,
  event: Parameters<OperationalStore["publishSourceEvent"]>[0],
): Promise<{ readonly jobs: readonly SendJob[] }> {
  const { type, sourceName, state, reason, nowMs } = event;
  const accounts = await tx.all("select id from accounts where uses_default_source or $1", sourceName === sandboxSourceName);
  const data = { endpointId: null, deliveryId: null, source: sourceName, state, reason, observedAtMs: nowMs };
  const news = accounts.map((row) => ({ type, accountId: text(row, "id"), exceptEndpointId: null, nowMs, data }));
  const events = (await operationalEvents(tx, news)).filter((one) => one !== null);
  const jobs = await insertEvents(tx, token, events);
  return { jobs: events.flatMap((one) => jobs.get(one) ?? []) };
}

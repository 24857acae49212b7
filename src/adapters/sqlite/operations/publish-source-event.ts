import { sandboxSourceName } from "../../../domain/sandbox.ts";
import type { OperationalStore } from "../../../ports/service-store.ts";
import type { Database } from "../database.ts";
import { publishOperational } from "../tables/operational-events.ts";
import type { Published } from "../tables/operational-events.ts";
import { text } from "../tables/rows.ts";

export function publishSourceEvent(db: Database, event: Parameters<OperationalStore["publishSourceEvent"]>[0]): Published {
  const { type, sourceName, state, reason, nowMs } = event;
  const accounts = db.all("select id from accounts where uses_default_source = 1 or ? = 1", sourceName === sandboxSourceName);
  const data = { endpointId: null, deliveryId: null, source: sourceName, state, reason, observedAtMs: nowMs };
  const published = accounts.map((row) =>
    publishOperational(db, type, { accountId: text(row, "id"), exceptEndpointId: null, nowMs }, data),
  );
  return { jobs: published.flatMap(({ jobs }) => jobs), notices: published.flatMap(({ notices }) => notices) };
}

import type { Attempt } from "../../../domain/attempt.ts";
import type { DeliveryView } from "../../../ports/read-store.ts";
import type { Database, Row } from "../database.ts";
import { integer, integerOrNull, text, textOrNull } from "../../rows.ts";
import { readDeliveryView } from "../tables/views.ts";

export function getDelivery(
  db: Database,
  accountId: string,
  deliveryId: string,
): { readonly view: DeliveryView; readonly attempts: readonly Attempt[] } | null {
  const view = readDeliveryView(db, accountId, deliveryId);
  if (view === null) return null;
  return {
    view,
    attempts: db.all("select * from attempts where delivery_id = ? order by number", deliveryId).map(attemptOf),
  };
}

function attemptOf(row: Row): Attempt {
  const code = textOrNull(row, "error_code") as NonNullable<Attempt["error"]>["code"] | null;
  return {
    number: integer(row, "number"),
    startedAtMs: integer(row, "started_at"),
    durationMs: integer(row, "duration_ms"),
    statusCode: integerOrNull(row, "status_code"),
    error: code === null ? null : { code, detail: textOrNull(row, "error_detail") ?? "" },
    responseExcerpt: textOrNull(row, "response_excerpt"),
    decision: text(row, "decision") as Attempt["decision"],
  };
}

import type { Attempt } from "../../../domain/attempt.ts";
import type { DeliveryView } from "../../../ports/read-store.ts";
import type { Queries, Row } from "../database.ts";
import { integer, integerOrNull, text, textOrNull } from "../../rows.ts";
import { readDeliveryView } from "../tables/views.ts";

export async function getDelivery(
  db: Queries,
  accountId: string,
  deliveryId: string,
): Promise<{ readonly view: DeliveryView; readonly attempts: readonly Attempt[] } | null> {
  const view = await readDeliveryView(db, accountId, deliveryId);
  if (view === null) return null;
  const attempts = await db.all("select * from attempts where delivery_id = $1 order by number", deliveryId);
  return { view, attempts: attempts.map(attemptOf) };
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

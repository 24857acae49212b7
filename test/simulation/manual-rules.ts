import type { Auditor } from "./auditor.ts";
import type { Client } from "./client.ts";
import type { Fleet } from "./fleet.ts";
import type { KnownDelivery } from "./ledger.ts";

export type AcceptedRetry = {
  readonly delivery: KnownDelivery;
  /** When the client chose the delivery from a list. */
  readonly listedAtMs: number;
  /** When the request left that was answered 202. */
  readonly askedAtMs: number;
  /** `Fleet.starts` at that time; -1 if some instance was not up. */
  readonly startsBefore: number;
  /** Whether the 202 shows a delivery that is not pending. */
  readonly isSettled: boolean;
};

const lookEveryMs = 250;
/** A process that starts again claims what was left to it within this time. */
const afterStartMs = 30_000;

/**
 * Checks that a retry answered 202 leads to an attempt, ahead of schedule, pause and order, in the time that a record takes at
 * most. Waits for that time, so that the world does not end before.
 *
 * A known weakness: the service keeps the retry of a settled delivery over a crash, but not that of a pending one, whose
 * attempt then waits for its schedule. So the rule holds for a pending delivery only while no process ends or stands still.
 */
export async function checkAcceptedRetry(
  parts: { readonly auditor: Auditor; readonly life: Fleet; readonly client: Client },
  retry: AcceptedRetry,
): Promise<void> {
  const { auditor, life, client } = parts;
  const { delivery, askedAtMs, isSettled } = retry;
  const answeredAtMs = auditor.scheduler.nowMs;
  for (;;) {
    if (delivery.lastTryAtMs >= askedAtMs || mayBeCanceled(auditor, retry)) return;
    const isInterrupted = !life.areAllUp || life.starts !== retry.startsBefore || auditor.lastLeftAtMs >= askedAtMs;
    if (isInterrupted && !isSettled) return;
    const untilMs = auditor.recordedAtMs(answeredAtMs) + (isInterrupted ? afterStartMs : 0);
    if (auditor.scheduler.nowMs > untilMs) break;
    await client.sleep(lookEveryMs);
  }
  // A disabled endpoint has no attempts, and failures may have disabled it after the 202.
  const endpoint = auditor.ledger.endpoints.get(delivery.url);
  const shown = await client.send({ method: "GET", path: `/v1/endpoints/${endpoint?.id}` });
  if (shown?.body["state"] === "disabled" || delivery.lastTryAtMs >= askedAtMs) return;
  auditor.violate(
    "retry accepted",
    `no attempt ${auditor.scheduler.nowMs - answeredAtMs} ms after the 202 for a retry of a ${isSettled ? "settled" : "pending"} delivery`,
    delivery.id,
    delivery.url,
    delivery.facts["watch_id"],
  );
}

/** Whether something that was requested meanwhile ends the attempt: a removal of the watch or hook, a closing of the endpoint. */
function mayBeCanceled({ ledger, limits }: Auditor, { delivery, listedAtMs, askedAtMs }: AcceptedRetry): boolean {
  const endpoint = ledger.endpoints.get(delivery.url);
  if (endpoint === undefined || limits.retentionMs < 86_400_000) return true;
  const isClosed = endpoint.closed?.state === "disabled" || endpoint.gone !== null;
  const isHookRemoved = [...ledger.hooks.values()].some(
    ({ url, deleteAskedAtMs, deletedAtMs }) =>
      url === delivery.url && deleteAskedAtMs !== null && (deletedAtMs === null || deletedAtMs >= listedAtMs),
  );
  const isWatchRemoved = (ledger.watches.get(delivery.facts["watch_id"] ?? "")?.deleteAskedAtMs ?? null) !== null;
  return isClosed || isHookRemoved || isWatchRemoved || endpoint.openings > 0 || endpoint.renewedAtMs >= askedAtMs;
}

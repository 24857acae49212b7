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
/** Attempts that may have taken tokens of the endpoint's rate ahead of a retry: all manual ones of the account, and one more. */
const attemptsAhead = 5;
/** A process that starts again claims what was left to it within this time. */
const afterStartMs = 30_000;

/**
 * Checks that a retry answered 202 leads to an attempt, ahead of schedule, pause and order, in the time that a record takes at
 * most, and over crashes. Waits for that time, so that the world does not end before.
 */
export async function checkAcceptedRetry(
  parts: { readonly auditor: Auditor; readonly life: Fleet; readonly client: Client },
  retry: AcceptedRetry,
): Promise<void> {
  const { auditor, life, client } = parts;
  const { delivery, askedAtMs, isSettled } = retry;
  const answeredAtMs = auditor.scheduler.nowMs;
  let waitedSinceMs = answeredAtMs;
  for (;;) {
    const attempt = attemptOf(delivery, askedAtMs);
    if (attempt === "made" || mayBeCanceled(auditor, retry)) return;
    if (attempt === "on the wire" || !life.areAllUp) waitedSinceMs = auditor.scheduler.nowMs;
    // A try that could not start, for lack of resources, is made again.
    waitedSinceMs = Math.max(waitedSinceMs, delivery.lastTryAtMs);
    const isInterrupted = !life.areAllUp || life.starts !== retry.startsBefore || auditor.lastLeftAtMs >= askedAtMs;
    // The endpoint's rate holds for a retry, and each instance has a part of it.
    const slowestPerSecond = auditor.ledger.endpoints.get(delivery.url)?.slowestPerSecond ?? null;
    const rateMs = slowestPerSecond === null ? 0 : (1000 * attemptsAhead * life.size) / slowestPerSecond;
    // Such a try is claimed again like any delivery, once one of the attempts on the wire has left its place.
    const placeMs = delivery.lastTryAtMs >= askedAtMs ? auditor.limits.timeoutMs : 0;
    const untilMs = auditor.recordedAtMs(waitedSinceMs) + rateMs + placeMs + (isInterrupted ? afterStartMs : 0);
    if (auditor.scheduler.nowMs > untilMs) break;
    await client.sleep(lookEveryMs);
  }
  // A disabled endpoint has no attempts, and failures may have disabled it after the 202.
  const endpoint = auditor.ledger.endpoints.get(delivery.url);
  const shown = await client.send({ method: "GET", path: `/v1/endpoints/${endpoint?.id}` });
  if (shown?.body["state"] === "disabled" || attemptOf(delivery, askedAtMs) !== "none") return;
  auditor.violate(
    "retry accepted",
    `no attempt ${auditor.scheduler.nowMs - answeredAtMs} ms after the 202 for a retry of a ${isSettled ? "settled" : "pending"} delivery`,
    delivery.id,
    delivery.url,
    delivery.facts["watch_id"],
  );
}

/** How far an attempt since the request has come. One that the end of its process cut off, before its record, is none. */
function attemptOf({ exchanges }: KnownDelivery, askedAtMs: number): "made" | "on the wire" | "none" {
  const since = exchanges.filter(({ startedAtMs }) => startedAtMs >= askedAtMs);
  if (since.some(({ endedAtMs, isAborted }) => endedAtMs !== null && !isAborted)) return "made";
  return since.some(({ endedAtMs, lifetime }) => endedAtMs === null && !lifetime.isOver) ? "on the wire" : "none";
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

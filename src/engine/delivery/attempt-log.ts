import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { DeliveryState } from "../../domain/deliveries/delivery.ts";
import { watchIdOf } from "../../domain/events/event.ts";
import { isoTime } from "../../domain/events/payload.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { Logger } from "../../ports/telemetry.ts";

/** One wide line per attempt: everything an operator asks for, and neither path nor query nor anything a receiver sent. */
export function logAttempt(
  logger: Logger,
  {
    job,
    attempt,
    delivery,
    host,
    maxAttempts,
  }: { job: SendJob; attempt: Attempt; delivery: DeliveryState; host: string; maxAttempts: number },
): void {
  const { event, target } = job;
  logger.info(
    {
      delivery_id: job.deliveryId,
      event_id: event.id,
      event_type: event.type,
      watch_id: watchIdOf(event),
      account_id: event.accountId,
      endpoint_id: target.id,
      host,
      attempt: attempt.number,
      of: maxAttempts,
      mode: job.mode,
      status_code: attempt.statusCode,
      error_code: attempt.error?.code ?? null,
      duration_ms: Math.round(attempt.durationMs),
      decision: attempt.decision,
      delivery_status: delivery.status,
      next_attempt_at: isoTime(delivery.nextAttemptAtMs),
    },
    "delivery.attempted",
  );
}

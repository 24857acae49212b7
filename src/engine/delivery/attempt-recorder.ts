import type { AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import { watchIdOf } from "../../domain/events/event.ts";
import { isoTime } from "../../domain/events/payload.ts";
import type { Clock } from "../../ports/clock.ts";
import type { AttemptRecorded, DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import { sleep } from "../runtime/timed-waits.ts";
import { traceIdOf } from "../../domain/webhooks/trace-context.ts";
import { hostNameOf } from "../../domain/webhooks/http-url.ts";

export type AttemptRecorderOptions = {
  readonly store: Pick<DeliveryStore, "recordAttempt">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Number of attempts in the schedule, for the log. */
  readonly maxAttempts: number;
  readonly random: () => number;
};

export type FinishedExchange = { readonly startedAtMs: number; readonly durationMs: number; readonly outcome: AttemptOutcome };
export type RecordedAttempt = Extract<AttemptRecorded, { kind: "recorded" }>;

const retryMinMs = 100;
const retryMaxMs = 5000;

/** Records the outcome of an exchange in the store, the log and the metrics. */
export class AttemptRecorder {
  readonly #options: AttemptRecorderOptions;
  readonly #stopping = new AbortController();

  constructor(options: AttemptRecorderOptions) {
    this.#options = options;
  }

  /**
   * Records an attempt. Repeats this while the store is unavailable, so that no answer is lost while the process lives.
   * Resolves with `null` if the lease was lost (then the attempt of its next holder counts) or the process stops.
   */
  async record(job: SendJob, exchange: FinishedExchange): Promise<RecordedAttempt | null> {
    for (let retryMs = retryMinMs; !this.#stopping.signal.aborted; retryMs = Math.min(retryMs * 2, retryMaxMs)) {
      try {
        const recorded = await this.#options.store.recordAttempt(this.#toRecord(job, exchange));
        if (recorded.kind === "fenced") return null;
        this.#log(job, recorded);
        this.#count(job, recorded, exchange.outcome);
        return recorded;
      } catch (error) {
        if (!isTransientStoreError(error)) throw error;
        await sleep(this.#options.clock, retryMs, this.#stopping.signal);
      }
    }
    return null;
  }

  /** Gives up attempts that are not recorded yet; their webhooks are sent again after the next start. */
  stop(): void {
    this.#stopping.abort();
  }

  #toRecord(job: SendJob, exchange: FinishedExchange) {
    const { clock, random } = this.#options;
    const { deliveryId, leaseToken, attemptNumber, mode } = job;
    const { accountId } = job.event;
    return { deliveryId, accountId, leaseToken, attemptNumber, mode, nowMs: clock.nowMs(), jitter: random(), ...exchange };
  }

  /** Logs one line with everything that an operator needs, but never the path, the query or content from the receiver. */
  #log({ deliveryId, event, target, mode, trace }: SendJob, { attempt, delivery }: RecordedAttempt): void {
    this.#options.logger.info(
      {
        delivery_id: deliveryId,
        event_id: event.id,
        event_type: event.type,
        watch_id: watchIdOf(event),
        account_id: event.accountId,
        endpoint_id: target.id,
        host: hostNameOf(target.origin),
        attempt: attempt.number,
        of: this.#options.maxAttempts,
        mode,
        status_code: attempt.statusCode,
        error_code: attempt.error?.code ?? null,
        duration_ms: Math.round(attempt.durationMs),
        decision: attempt.decision,
        delivery_status: delivery.status,
        next_attempt_at: isoTime(delivery.nextAttemptAtMs),
        ...(trace === null ? {} : { trace_id: traceIdOf(trace) }),
      },
      "delivery.attempted",
    );
  }

  #count(job: SendJob, { attempt, endpointChange }: RecordedAttempt, outcome: AttemptOutcome): void {
    const { metrics, clock } = this.#options;
    metrics.attemptFinished(attempt.decision);
    if (attempt.decision === "delivered") metrics.delivered(clock.nowMs() - (job.event.data.observedAtMs ?? job.createdAtMs));
    if (endpointChange !== "none") metrics.endpointDisabled(endpointChange === "disabled_gone" ? "gone" : "failing");
    if (outcome.kind === "failed" && outcome.code === "blocked_address") metrics.addressBlocked();
  }
}

import type { AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { AttemptRecorded, DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import { logAttempt } from "./attempt-log.ts";
import { hostNameOf } from "./delivery-limits.ts";

export type AttemptRecorderOptions = {
  readonly store: Pick<DeliveryStore, "recordAttempt">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Attempts of the schedule, for the log. */
  readonly maxAttempts: number;
  readonly random: () => number;
};

export type FinishedExchange = { readonly startedAtMs: number; readonly durationMs: number; readonly outcome: AttemptOutcome };
export type RecordedAttempt = Extract<AttemptRecorded, { kind: "recorded" }>;

const retryMinMs = 100;
const retryMaxMs = 5000;

/** Writes down what came of an exchange, and tells the log and the metrics. */
export class AttemptRecorder {
  readonly #options: AttemptRecorderOptions;
  readonly #stopped = Promise.withResolvers<null>();
  #isStopped = false;

  constructor(options: AttemptRecorderOptions) {
    this.#options = options;
  }

  /**
   * What a receiver answered must not be forgotten while the process lives: the store is asked again until it takes it.
   * null: the lease was lost (then somebody else's attempt counts) or the process stops.
   */
  async record(job: SendJob, exchange: FinishedExchange): Promise<RecordedAttempt | null> {
    for (let retryMs = retryMinMs; !this.#isStopped; retryMs = Math.min(retryMs * 2, retryMaxMs)) {
      try {
        const recorded = await this.#options.store.recordAttempt(this.#recordOf(job, exchange));
        if (recorded.kind === "fenced") return null;
        this.#tell(job, recorded, exchange.outcome);
        return recorded;
      } catch (error) {
        if (!isTransientStoreError(error)) throw error;
        await this.#wait(retryMs);
      }
    }
    return null;
  }

  /** Asks no more: what is not recorded by now will be sent again. */
  stop(): void {
    this.#isStopped = true;
    this.#stopped.resolve(null);
  }

  #recordOf(job: SendJob, exchange: FinishedExchange) {
    const { clock, random } = this.#options;
    const { deliveryId, leaseToken, attemptNumber, mode } = job;
    return { deliveryId, leaseToken, attemptNumber, mode, nowMs: clock.nowMs(), jitter: random(), ...exchange };
  }

  async #wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<null>();
    const timer = this.#options.clock.setTimer(ms, () => resolve(null));
    await Promise.race([promise, this.#stopped.promise]);
    timer.cancel();
  }

  #tell(job: SendJob, recorded: RecordedAttempt, outcome: AttemptOutcome): void {
    const { logger, metrics, clock, maxAttempts } = this.#options;
    const { attempt, delivery, endpointChange } = recorded;
    logAttempt(logger, { job, attempt, delivery, host: hostNameOf(job.target), maxAttempts });
    metrics.attemptFinished(attempt.decision);
    if (attempt.decision === "delivered") metrics.delivered(clock.nowMs() - (job.event.data.observedAtMs ?? job.createdAtMs));
    if (endpointChange !== "none") metrics.endpointDisabled(endpointChange === "disabled_gone" ? "gone" : "failing");
    if (outcome.kind === "failed" && outcome.code === "blocked_address") metrics.addressBlocked();
  }
}

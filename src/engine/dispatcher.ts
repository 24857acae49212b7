import type { Attempt, AttemptOutcome } from "../domain/attempt.ts";
import { StoreOverloaded, StoreUnavailable } from "../domain/errors.ts";
import type { Notice } from "../ports/call-store.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { AttemptRecorded, DeliveryStore } from "../ports/delivery-store.ts";
import type { SendJob } from "../ports/send-job.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import type { WebhookSender } from "../ports/webhook-sender.ts";
import type { DeliveryGates, Pass } from "./delivery-gates.ts";
import { hostNameOf } from "./delivery-gates.ts";
import { HeldJobs } from "./held-jobs.ts";
import { logAttempt } from "./attempt-log.ts";
import type { WebhookComposer } from "./webhook-composer.ts";

export type DispatcherOptions = {
  readonly store: DeliveryStore;
  readonly sender: WebhookSender;
  readonly composer: WebhookComposer;
  readonly gates: DeliveryGates;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly timeoutMs: number;
  /** Attempts of the schedule, for the log. */
  readonly maxAttempts: number;
  /** Calls nobody watches any more, after a 410. */
  readonly onUnwatched: (callIds: readonly string[]) => void;
  readonly notify: (notices: readonly Notice[]) => void;
  /** Whether this instance may begin work now; `resume` says when it may again. */
  readonly mayStart?: () => boolean;
  readonly random?: () => number;
};

const recordRetryMinMs = 100;
const recordRetryMaxMs = 5000;
/** A watch deleted so long ago has nothing left in memory. */
const rememberCanceledMs = 60_000;
const minWakeMs = 5;

/**
 * Sends what is owed. A commit's own webhooks come leased through `accept` and go out from memory; everything else is
 * claimed from the store when it falls due. Whatever finds no room waits in memory, as much as may run at once, and the
 * rest is given back to the store: a dead endpoint with thousands owed is a few jobs here.
 *
 * A crash between commit and sending, or between answer and record, leaves the delivery pending in the store: the next
 * start sends it (again) with the same id.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #random: () => number;
  readonly #held = new HeldJobs();
  readonly #onWire = new Map<SendJob, Pass>();
  readonly #canceledWatches = new Map<string, number>();
  #claiming = false;
  #claimAgain = false;
  /** Something due was given back for want of room: whoever makes room looks for it. */
  #owesInStore = false;
  #timer: Timer | null = null;
  #state: "running" | "draining" | "stopped" = "running";
  #idle: (() => void) | null = null;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  /** How often `tick` wants to be called at least: it heals whatever a wake-up missed. */
  readonly tickEveryMs = 1000;

  get inFlight(): number {
    return this.#onWire.size;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** Takes jobs leased by a commit just made. */
  accept(jobs: readonly SendJob[]): void {
    const back: SendJob[] = [];
    for (const job of jobs) if (!this.#admit(job)) back.push(job);
    if (back.length === 0) return;
    this.#owesInStore = true;
    this.#release(back);
  }

  /** Sends one whatever the gates say and resolves with the attempt as recorded; null when the lease was lost or the service stops. */
  async sendNow(job: SendJob): Promise<Attempt | null> {
    if (this.#state !== "running") {
      this.#release([job]);
      return null;
    }
    const pass = this.#options.gates.enter(job.target, "manual");
    if (pass === null) throw new Error("a manual attempt is never refused");
    return this.#send(job, pass);
  }

  /** No attempt for this watch starts any more. */
  cancelWatch(watchId: string): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [id, atMs] of this.#canceledWatches) {
      if (nowMs - atMs < rememberCanceledMs) break;
      this.#canceledWatches.delete(id);
    }
    this.#canceledWatches.set(watchId, nowMs);
    this.#drop(this.#held.takeWhere((job) => watchIdOf(job) === watchId));
  }

  /** Gives back what waits in memory for this endpoint; what is still owed is claimed anew. */
  cancelEndpoint(endpointId: string): void {
    this.#drop(this.#held.takeWhere((job) => job.target.id === endpointId));
  }

  /** They were settled behind our back: no attempt of theirs starts any more. */
  dropSettled(deliveryIds: ReadonlySet<string>): void {
    this.#drop(this.#held.takeWhere((job) => deliveryIds.has(job.deliveryId)));
  }

  /** Our leases are nobody's any more: what waits in memory is somebody else's to send. What is on the wire is recorded if it can be. */
  forgetHeld(): void {
    for (const job of this.#held.takeWhere(() => true)) this.#options.gates.hold(job.target.id, -1);
  }

  /** Starts what waited until this instance may begin work again. */
  resume(): void {
    const waiting = this.#held.takeWhere(() => true);
    for (const job of waiting) this.#options.gates.hold(job.target.id, -1);
    this.accept(waiting);
  }

  /** The leases that are in this process's hands. */
  leaseTokens(): ReadonlySet<number> {
    return new Set([...this.#onWire.keys(), ...this.#held.all()].map((job) => job.leaseToken));
  }

  /** Something may be due: look now. */
  wake(): void {
    if (this.#claiming) this.#claimAgain = true;
    else void this.tick();
  }

  /** Claims and sends what is due, until nothing more is or there is no room. */
  async tick(): Promise<void> {
    if (this.#claiming || this.#state !== "running" || !this.#mayStart()) return;
    this.#claiming = true;
    try {
      do {
        this.#claimAgain = false;
        await this.#claim();
      } while (this.#claimAgain && this.#state === "running");
    } catch (error) {
      if (!(error instanceof StoreUnavailable) && !(error instanceof StoreOverloaded)) throw error;
      // The next tick asks again.
      this.#options.logger.warn({ error: error.message }, "delivery.claim_failed");
    } finally {
      this.#claiming = false;
    }
  }

  /** Starts nothing more; what is on the wire has `graceMs`, then it is aborted. Every lease is given back: a shutdown is no attempt. */
  async stop(graceMs: number): Promise<void> {
    if (this.#state !== "running") return;
    this.#state = "draining";
    this.#timer?.cancel();
    this.#drop(this.#held.takeWhere(() => true));
    if (this.#onWire.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle = resolve;
      const deadline = this.#options.clock.setTimer(graceMs, resolve);
      await promise;
      deadline.cancel();
    }
    this.#state = "stopped";
    const aborted = [...this.#onWire.keys()];
    await this.#options.sender.close();
    if (aborted.length > 0) await this.#options.store.releaseDeliveries(aborted).catch(() => undefined);
  }

  async #claim(): Promise<void> {
    const { store, gates, clock } = this.#options;
    const rooms = gates.rooms();
    if (rooms.total === 0) {
      this.#owesInStore = true;
      return;
    }
    this.#owesInStore = false;
    const { jobs, nextDueAtMs } = await store.claimDue({
      nowMs: clock.nowMs(),
      limit: rooms.total,
      failingLimit: rooms.failing,
      defaultRoom: 4,
      roomByEndpoint: rooms.byEndpoint,
      roomByHost: rooms.byHost,
    });
    this.accept(jobs);
    if (jobs.length > 0) this.#claimAgain = true;
    const dueInMs = nextDueAtMs === null ? Infinity : nextDueAtMs - clock.nowMs();
    const wakeInMs = Math.min(dueInMs, rooms.nextTokenInMs ?? Infinity);
    this.#timer?.cancel();
    this.#timer = wakeInMs === Infinity ? null : clock.setTimer(Math.max(minWakeMs, wakeInMs), () => this.wake());
  }

  /** Sends it, or lets it wait; false: it must go back. */
  #admit(job: SendJob): boolean {
    if (this.#state !== "running" || this.#canceledWatches.has(watchIdOf(job) ?? "")) return false;
    const { gates } = this.#options;
    const waits = this.#held.countFor(job.target.id) > 0 || !this.#mayStart();
    const pass = waits ? null : gates.enter(job.target, job.mode);
    if (pass !== null) {
      void this.#send(job, pass);
      return true;
    }
    if (gates.holdRoom(job.target.id) <= 0) return false;
    gates.hold(job.target.id, 1);
    this.#held.add(job);
    return true;
  }

  #mayStart(): boolean {
    return this.#options.mayStart?.() ?? true;
  }

  async #send(job: SendJob, pass: Pass): Promise<Attempt | null> {
    const { gates, clock, logger } = this.#options;
    this.#onWire.set(job, pass);
    const startedAtMs = clock.nowMs();
    let outcome: AttemptOutcome | null = null;
    try {
      const exchange = await this.#exchange(job, startedAtMs);
      if (this.#state === "stopped") return null;
      outcome = exchange.outcome;
      return await this.#record(job, { startedAtMs, ...exchange });
    } catch (error) {
      logger.error({ delivery_id: job.deliveryId, error: String(error) }, "delivery.failed_unexpectedly");
      return null;
    } finally {
      this.#onWire.delete(job);
      gates.leave(pass, outcome);
      this.#sendHeld(job.target.id);
      if (this.#onWire.size === 0) this.#idle?.();
    }
  }

  async #exchange(job: SendJob, startedAtMs: number): Promise<{ readonly outcome: AttemptOutcome; readonly durationMs: number }> {
    const { composer, sender, timeoutMs } = this.#options;
    let webhook;
    try {
      webhook = await composer.compose(job, startedAtMs);
    } catch {
      const detail = "the endpoint's secrets cannot be opened with the configured encryption keys";
      return { outcome: { kind: "failed", code: "protocol", detail, statusCode: null, permanent: false }, durationMs: 0 };
    }
    return sender.send({ ...webhook, timeoutMs });
  }

  async #record(
    job: SendJob,
    exchange: { readonly startedAtMs: number; readonly durationMs: number; readonly outcome: AttemptOutcome },
  ): Promise<Attempt | null> {
    const { clock, notify, onUnwatched } = this.#options;
    const recorded = await this.#recordUntilItSticks(job, exchange);
    if (recorded === null || recorded.kind === "fenced") return null;
    this.#measure(job, recorded, exchange);
    this.accept(recorded.jobs);
    if (recorded.unwatchedCallIds.length > 0) onUnwatched(recorded.unwatchedCallIds);
    notify(recorded.notices);
    const { endpoint } = recorded;
    const nowMs = clock.nowMs();
    const paused = endpoint.state !== "enabled" || endpoint.health.consecutivePauses > 0 || (endpoint.hostPausedUntilMs ?? 0) > nowMs;
    if (paused)
      this.#drop(this.#held.takeWhere(({ target }) => target.accountId === job.target.accountId && target.origin === job.target.origin));
    if (recorded.endpointNextDueAtMs !== null && recorded.endpointNextDueAtMs <= nowMs) this.wake();
    else if (recorded.delivery.nextAttemptAtMs !== null || paused) this.#wakeBy(recorded.endpointNextDueAtMs);
    return recorded.attempt;
  }

  /** What the receiver answered must not be forgotten while the process lives: the store is asked again until it takes it. */
  async #recordUntilItSticks(
    job: SendJob,
    exchange: { readonly startedAtMs: number; readonly durationMs: number; readonly outcome: AttemptOutcome },
  ): Promise<AttemptRecorded | null> {
    const { store, clock } = this.#options;
    for (let retryMs = recordRetryMinMs; ; retryMs = Math.min(retryMs * 2, recordRetryMaxMs)) {
      try {
        return await store.recordAttempt({
          deliveryId: job.deliveryId,
          leaseToken: job.leaseToken,
          attemptNumber: job.attemptNumber,
          mode: job.mode,
          nowMs: clock.nowMs(),
          jitter: this.#random(),
          ...exchange,
        });
      } catch (error) {
        if (!(error instanceof StoreUnavailable) && !(error instanceof StoreOverloaded)) throw error;
        if (this.#state === "stopped") return null;
        const { promise, resolve } = Promise.withResolvers<void>();
        clock.setTimer(retryMs, resolve);
        await promise;
      }
    }
  }

  #measure(job: SendJob, recorded: Extract<AttemptRecorded, { kind: "recorded" }>, exchange: { readonly outcome: AttemptOutcome }): void {
    const { logger, metrics, clock, maxAttempts } = this.#options;
    const { attempt, delivery, endpoint } = recorded;
    logAttempt(logger, { job, attempt, delivery, host: hostNameOf(job.target), maxAttempts });
    metrics.attemptFinished(attempt.decision);
    if (attempt.decision === "delivered") metrics.delivered(clock.nowMs() - (job.event.data.observedAtMs ?? job.createdAtMs));
    if (endpoint.state === "disabled" && job.target.state !== "disabled")
      metrics.endpointDisabled(attempt.decision === "gone" ? "gone" : "failing");
    if (exchange.outcome.kind === "failed" && exchange.outcome.code === "blocked_address") metrics.addressBlocked();
  }

  /** Whoever waits for this endpoint, then whoever waits at all: room may have come at its host or in total. */
  #sendHeld(endpointId: string): void {
    if (this.#state !== "running" || !this.#mayStart()) return;
    const { gates } = this.#options;
    let started = false;
    for (const job of this.#held.candidates(endpointId)) {
      const pass = gates.enter(job.target, job.mode);
      if (pass === null) continue;
      this.#held.remove(job);
      gates.hold(job.target.id, -1);
      started = true;
      void this.#send(job, pass);
    }
    if (started || this.#owesInStore) this.wake();
  }

  #wakeBy(dueAtMs: number | null): void {
    if (dueAtMs === null || this.#state !== "running") return;
    this.#options.clock.setTimer(Math.max(minWakeMs, dueAtMs - this.#options.clock.nowMs()), () => this.wake());
  }

  #drop(jobs: readonly SendJob[]): void {
    for (const job of jobs) this.#options.gates.hold(job.target.id, -1);
    if (jobs.length > 0) this.#release(jobs);
  }

  /** A release that fails leaves leases behind; they end with the process, and its jobs are then due again. */
  #release(jobs: readonly SendJob[]): void {
    const leases = jobs.map(({ deliveryId, leaseToken }) => ({ deliveryId, leaseToken }));
    this.#options.store.releaseDeliveries(leases).catch((error: unknown) => {
      this.#options.logger.warn({ deliveries: leases.length, error: String(error) }, "delivery.release_failed");
    });
  }
}

function watchIdOf({ event }: SendJob): string | null {
  return "watchId" in event.data ? event.data.watchId : null;
}

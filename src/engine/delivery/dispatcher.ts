import type { Attempt, AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import { stackOf } from "../../domain/error-text.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import { precedes } from "../../domain/events/event.ts";
import type { Commit, CommitListener, EndpointListener, Removal } from "../../ports/commit-listener.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { Poller } from "../polling/poller.ts";
import { EarliestTimer } from "../runtime/earliest-timer.ts";
import { AttemptRecorder } from "./attempt-recorder.ts";
import { CurrentTargets } from "./current-targets.ts";
import type { CurrentTargetsOptions } from "./current-targets.ts";
import type { AttemptRecorderOptions, RecordedAttempt } from "./attempt-recorder.ts";
import type { DeliveryLimits, DeliveryPermit } from "./delivery-limits.ts";
import { hostKeyOf } from "./delivery-limits.ts";
import { SlotSet } from "../../domain/slot-set.ts";
import { JobBuffer } from "./job-buffer.ts";
import { startLimit } from "./adaptive-concurrency.ts";
import { LeaseReleaser } from "./lease-releaser.ts";
import { JobSender } from "./job-sender.ts";
import type { JobSenderOptions } from "./job-sender.ts";
import { LocalTrouble, notStartedRetryMs } from "../runtime/local-trouble.ts";
import { SerializedRuns } from "../runtime/serialized-runs.ts";
import { settledWithin, sleep } from "../runtime/timed-waits.ts";
import { RecentCancellations } from "./recent-cancellations.ts";

export type DispatcherOptions = JobSenderOptions &
  Omit<AttemptRecorderOptions, "store" | "random"> &
  Pick<CurrentTargetsOptions, "targetMaxAgeMs"> & {
    readonly store: DeliveryStore;
    readonly limits: DeliveryLimits;
    /** Poller of the calls. A 410 may end the last watch of a call. */
    readonly poller: Pick<Poller, "rewatch">;
    /** Listeners of recorded attempts; the dispatcher itself sends the jobs of its commits. */
    readonly listeners: readonly CommitListener[];
    /** Log of local trouble. Shared with the poller, so that trouble of both is logged once. */
    readonly localTrouble?: LocalTrouble;
    readonly random?: () => number;
    /** Whether the operator has disabled an account: none of its webhooks starts. */
    readonly isDisabled?: (accountId: string) => boolean;
  };

type Running = { readonly job: SendJob; slot: number };

/** Delay before the retry of a job that failed because the store was unavailable. */
const afterStoreErrorMs = 1000;
/** Delay before the retry of a job that failed because of a bug. */
const afterFaultMs = 60_000;

/**
 * Sends webhooks. Jobs of a commit arrive leased through `accept` and are sent from memory; all others are claimed from
 * the store when they are due. Jobs without capacity wait in the buffer, as many as may be in flight, and the rest is
 * released to the store: a dead endpoint with thousands of pending deliveries occupies a few jobs of memory.
 *
 * A crash between commit and sending, or between answer and record, leaves the delivery pending in the store, and the
 * next start sends it (again) with the same id.
 *
 * | mode      | entered by                           | new jobs                           | buffered jobs                     |
 * |-----------|--------------------------------------|------------------------------------|-----------------------------------|
 * | running   | construction                         | sent, buffered or released         | sent when capacity becomes free   |
 * | untrusted | `mayStart` false (lease almost over) | buffered or released; none claimed | kept until `resume`               |
 * | draining  | `stop`                               | released                           | released; exchanges finish        |
 * | stopped   | last exchange, or end of the grace   | released                           | none; exchanges are aborted, and  |
 * |           |                                      |                                    | their leases released unrecorded  |
 */
export class Dispatcher implements CommitListener, EndpointListener {
  readonly #options: DispatcherOptions;
  readonly #recorder: AttemptRecorder;
  readonly #leases: LeaseReleaser;
  readonly #claimTimer: EarliestTimer;
  readonly #cancellations: RecentCancellations;
  readonly #targets: CurrentTargets;
  readonly #buffered: JobBuffer;
  readonly #sender: JobSender;
  readonly #claims = new SerializedRuns(() => this.#claimRound());
  /** Jobs from their permit to the record of their attempt. */
  readonly #running = new SlotSet<Running>();
  /** Manual jobs that wait for a token of a rate. */
  readonly #waiting = new Set<SendJob>();
  readonly #drainStarted = new AbortController();
  /** Whether due jobs were released for lack of capacity; then an exchange that ends triggers a claim. */
  #hasPendingInStore = false;
  /** Time until which only the tick claims, because the process could not start the jobs of its last claim. */
  #starvedUntilMonotonicMs = -Infinity;
  readonly #localTrouble: LocalTrouble;
  #state: "running" | "draining" | "stopped" = "running";
  #stopping: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#recorder = new AttemptRecorder({ ...options, random: options.random ?? Math.random });
    this.#leases = new LeaseReleaser(options);
    this.#claimTimer = new EarliestTimer(options.clock, () => this.wake());
    this.#cancellations = new RecentCancellations(options.clock);
    this.#targets = new CurrentTargets(options);
    this.#buffered = new JobBuffer(options.limits);
    this.#sender = new JobSender(options, this.#targets);
    this.#localTrouble = options.localTrouble ?? new LocalTrouble(options);
  }

  /** Longest time between calls of `tick`. A tick repairs missed wake-ups. */
  readonly tickEveryMs = 1000;

  get inFlight(): number {
    return this.#running.size;
  }

  get bufferedCount(): number {
    return this.#buffered.size;
  }

  committed({ jobs }: Commit): void {
    this.accept(jobs);
  }

  removed({ watchId, deliveryIds }: Removal): void {
    if (watchId !== null) this.#cancellations.removeWatch(watchId);
    // Leases of these deliveries may still be on their way from the store.
    for (const deliveryId of deliveryIds) this.#cancellations.cancelDelivery(deliveryId);
    this.#releaseWhere((job) => !this.#cancellations.mayStart(job));
  }

  /** Takes leased jobs and returns the number of those that were sent or buffered; the others are released. */
  accept(jobs: readonly SendJob[]): number {
    const refused = jobs.filter((job) => !this.#admit(job));
    if (refused.length > 0) this.#hasPendingInStore = true;
    void this.#leases.release(refused);
    return jobs.length - refused.length;
  }

  /**
   * Sends a job regardless of limits in flight, once the rates of its endpoint and host have a token. Resolves with the
   * recorded attempt; `null` if the job was canceled, its lease lost, or the service stops.
   */
  async sendNow(job: SendJob): Promise<Attempt | null> {
    const { limits, clock } = this.#options;
    if (this.#mayStart(job)) {
      const { permit, waitMs } = limits.reserveManual(this.#targets.latest(job).target);
      this.#waiting.add(job);
      if (waitMs > 0) await sleep(clock, waitMs, this.#drainStarted.signal);
      const isStillHeld = this.#waiting.delete(job);
      if (isStillHeld && this.#mayStart(job)) return this.#send(job, permit);
      limits.release(permit, null);
      // A job that was discarded meanwhile belongs to another instance.
      if (!isStillHeld) return null;
    }
    await this.#leases.release([job]);
    return null;
  }

  /** Releases the lease of a buffered job, so that it can be claimed for a manual attempt. */
  async releaseBuffered(deliveryId: string): Promise<void> {
    await this.#leases.release(this.#buffered.takeWhere((buffered) => buffered.deliveryId === deliveryId));
  }

  /** Releases the jobs of this endpoint that are not in flight; those that are still pending are claimed again. */
  cancelEndpoint(endpointId: string): void {
    this.#releaseWhere((job) => job.target.id === endpointId && job.mode !== "manual", endpointId);
  }

  /** Starts no more attempts for an endpoint that was paused or disabled, except manual ones if it is paused. */
  closeEndpoint(endpointId: string, state: "paused" | "disabled"): void {
    this.#cancellations.closeEndpoint(endpointId, state);
    this.#releaseWhere((job) => job.target.id === endpointId && !this.#cancellations.mayStart(job), endpointId);
  }

  /** Releases the jobs of the accounts that are disabled now and that are not in flight. */
  closeDisabled(): void {
    this.#releaseWhere((job) => this.#options.isDisabled?.(job.event.accountId) === true);
  }

  /** Starts attempts again for an endpoint that was enabled. */
  openEndpoint(endpointId: string): void {
    this.#cancellations.openEndpoint(endpointId);
    this.wake();
  }

  /** Applies changed settings of this endpoint to its jobs that are not in flight. */
  refreshEndpoint(endpointId: string): void {
    this.#targets.change(endpointId);
    void this.#refreshBuffered();
    this.wake();
  }

  /** Starts attempts again for an endpoint that a registration enabled by naming it. */
  reopenEndpoint(endpointId: string): void {
    if (this.#cancellations.reopenEndpoint(endpointId)) this.wake();
  }

  /** Starts no more scheduled attempts of deliveries that another instance settled. */
  dropFinished(deliveryIds: ReadonlySet<string>): void {
    this.#releaseWhere((job) => job.mode !== "manual" && deliveryIds.has(job.deliveryId));
  }

  /** Discards all jobs that are not in flight, after the instance lost its leases. Attempts in flight are recorded if possible. */
  discardBuffered(): void {
    this.#sender.drop(() => true);
    this.#buffered.takeWhere(() => true);
    this.#waiting.clear();
  }

  /** Sends buffered jobs once this instance may start work again. */
  resume(): void {
    this.accept(this.#buffered.takeWhere(() => true));
  }

  /** Returns the tokens of the leases that this process holds. */
  leaseTokens(): ReadonlySet<number> {
    return new Set([...this.#runningJobs(), ...this.#waiting, ...this.#buffered.all()].map((job) => job.leaseToken));
  }

  /** Claims immediately, because a delivery may be due. */
  wake(): void {
    this.tick().catch((error: unknown) => {
      // The loop's next tick fails too, and backs off.
      this.#options.logger.error({ error: stackOf(error) }, "delivery.wake_failed");
    });
  }

  /** Sends buffered jobs, then claims and sends due ones, until none is due or capacity is exhausted. */
  async tick(): Promise<void> {
    if (this.#state === "running" && this.#mayBegin()) await this.#claims.run();
  }

  /**
   * Replaces `tick` for a dispatcher that is woken when deliveries are due. Sends buffered jobs and retries deferred
   * releases. Accesses the store only if there are deferred releases.
   */
  async maintain(): Promise<void> {
    if (this.#state !== "running" || !this.#mayBegin()) return;
    void this.#refreshBuffered();
    this.#sendBuffered(null);
    if (await this.#leases.retry()) this.wake();
  }

  /**
   * Starts no more attempts, waits at most `graceMs` for those in flight, then aborts them. Releases every lease, because a
   * shutdown is not an attempt.
   */
  stop(graceMs: number): Promise<void> {
    return (this.#stopping ??= this.#drain(graceMs));
  }

  async #drain(graceMs: number): Promise<void> {
    this.#state = "draining";
    this.#claimTimer.close();
    this.#drainStarted.abort();
    this.#releaseWhere(() => true);
    if (this.#running.size > 0 && graceMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onIdle = resolve;
      await settledWithin(this.#options.clock, graceMs, promise);
    }
    this.#state = "stopped";
    this.#recorder.stop();
    const aborted = this.#runningJobs();
    await this.#options.sender.close();
    await this.#claims.ended();
    await this.#leases.release(aborted);
    await this.#leases.retry({ all: true });
  }

  async #claimRound(): Promise<void> {
    if (this.#state !== "running" || !this.#mayBegin()) return;
    try {
      await this.#leases.retry();
      void this.#refreshBuffered();
      this.#sendBuffered(null);
      await this.#claim();
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      // The next tick claims again.
      this.#options.logger.warn({ error: error.message }, "delivery.claim_failed");
    }
  }

  async #claim(): Promise<void> {
    const { store, limits, clock } = this.#options;
    const capacity = limits.capacity();
    if (capacity.nextTokenInMs !== null) this.#claimTimer.setWithin(capacity.nextTokenInMs);
    // The end of an exchange triggers the next claim.
    if (capacity.total === 0) return;
    this.#hasPendingInStore = false;
    const { jobs, nextDueAtMs } = await store.claimDue({
      nowMs: clock.nowMs(),
      limit: capacity.total,
      failingLimit: capacity.failing,
      defaultCapacity: startLimit,
      capacityByEndpoint: capacity.byEndpoint,
      capacityByHost: capacity.byHost,
    });
    if (this.accept(jobs) > 0 && !this.#isStarved) this.wake();
    if (nextDueAtMs !== null) this.#claimTimer.setWithin(nextDueAtMs - clock.nowMs());
  }

  #runningJobs(): readonly SendJob[] {
    return [...this.#running].map(({ job }) => job);
  }

  #mayStart(job: SendJob): boolean {
    return this.#state === "running" && this.#cancellations.mayStart(job) && this.#options.isDisabled?.(job.event.accountId) !== true;
  }

  /** Sends or buffers a job; false if it must be released. */
  #admit(leased: SendJob): boolean {
    const job = this.#targets.latest(leased);
    if (!this.#mayStart(job)) return false;
    // A job must not overtake buffered ones of its endpoint, unless it is manual.
    const isNext = job.mode === "manual" || this.#buffered.countFor(job.target.id) === 0;
    return (isNext && this.#mayBegin() && this.#start(job)) || this.#buffered.add(job);
  }

  #mayBegin(): boolean {
    return this.#options.mayStart?.() ?? true;
  }

  /** Sends a job if the limits allow; if a rate is exhausted, sets the timer for its next token. */
  #start(admitted: SendJob): boolean {
    const { limits } = this.#options;
    const job = this.#targets.latest(admitted);
    if (job.mode === "manual") {
      void this.sendNow(job);
      return true;
    }
    const permit = limits.acquire(job.target);
    if (permit !== null) void this.#send(job, permit);
    else {
      const tokenInMs = limits.tokenInMs(job.target);
      if (tokenInMs > 0) this.#claimTimer.setWithin(tokenInMs);
    }
    return permit !== null;
  }

  async #send(job: SendJob, permit: DeliveryPermit): Promise<Attempt | null> {
    const { limits } = this.#options;
    const running: Running = { job, slot: -1 };
    this.#running.add(running);
    let outcome: AttemptOutcome | null = null;
    let recorded: RecordedAttempt | null = null;
    try {
      const exchange = await this.#sender.send(job);
      if (exchange === null) await this.#leases.release([job]);
      else if (exchange.outcome.kind === "not_started") this.#postpone(job, exchange.outcome);
      else {
        const finished = { startedAtMs: exchange.startedAtMs, durationMs: exchange.durationMs, outcome: exchange.outcome };
        outcome = finished.outcome;
        if (this.#state !== "stopped") recorded = await this.#recorder.record(job, finished);
      }
    } catch (error) {
      const isTransient = isTransientStoreError(error);
      // The heartbeat logs once that the store cannot be reached, rather than once for each job.
      if (!isTransient) this.#report(job, error);
      this.#leases.releaseLater(job, isTransient ? afterStoreErrorMs : afterFaultMs);
    }
    const wasFull = limits.isFull(permit.failing);
    this.#running.delete(running);
    limits.release(permit, outcome);
    try {
      if (recorded !== null) this.#applyRecorded(job, recorded);
    } catch (error) {
      this.#report(job, error);
    }
    this.#fillCapacity(permit, wasFull || recorded === null);
    if (this.#running.size === 0) this.#onIdle?.();
    return recorded?.attempt ?? null;
  }

  /** Leaves the delivery as it is, because no attempt was made; it is due again in a second. */
  #postpone(job: SendJob, trouble: NotStarted): void {
    this.#starvedUntilMonotonicMs = this.#options.clock.monotonicMs() + notStartedRetryMs;
    this.#localTrouble.report(trouble);
    this.#leases.releaseLater(job, notStartedRetryMs);
    this.#claimTimer.setWithin(notStartedRetryMs);
  }

  get #isStarved(): boolean {
    return this.#options.clock.monotonicMs() < this.#starvedUntilMonotonicMs;
  }

  /** Applies the consequences of a recorded attempt to the other jobs. */
  #applyRecorded(job: SendJob, recorded: RecordedAttempt): void {
    const { clock, poller, listeners } = this.#options;
    const { endpoint, delivery, endpointNextDueAtMs } = recorded;
    const nowMs = clock.nowMs();
    this.accept(recorded.jobs);
    for (const callId of recorded.unwatchedCallIds) poller.rewatch(callId, null);
    for (const listener of listeners) listener.committed(recorded);
    if (endpoint.state !== "enabled") this.cancelEndpoint(job.target.id);
    // During a pause, and after it until a 2xx, the store hands out one delivery at a time.
    if ((endpoint.hostPausedUntilMs ?? 0) > nowMs)
      this.#releaseWhere((other) => hostKeyOf(other.target) === hostKeyOf(job.target) && other.mode !== "manual");
    else if (endpoint.health.consecutivePauses > 0)
      this.#releaseWhere((other) => other.target.id === job.target.id && other.mode !== "manual");
    // Earlier events of its lane may have become obsolete.
    if (delivery.status === "delivered") this.#releaseWhere((other) => isObsolete(other, job), job.target.id);
    if (endpointNextDueAtMs !== null) this.#claimTimer.setWithin(endpointNextDueAtMs - nowMs);
  }

  /** Sends buffered jobs of the host whose exchange ended; if all capacity was used, the next claim sends those of all hosts. */
  #fillCapacity({ hostKey }: DeliveryPermit, wasFull: boolean): void {
    const started = this.#sendBuffered(hostKey);
    if (!this.#isStarved && (started || wasFull || this.#hasPendingInStore)) this.wake();
  }

  /** Sends buffered jobs of one host, or of all if `hostKey` is `null`. Returns whether it sent any. */
  #sendBuffered(hostKey: string | null): boolean {
    const isFull = () => this.#state !== "running" || !this.#mayBegin() || this.#options.limits.isFull(false);
    return this.#buffered.start(hostKey, isFull, (job) => this.#start(job));
  }

  /** Reads the stale targets of buffered jobs, so that changed limits apply before the next exchange ends. Never rejects. */
  async #refreshBuffered(): Promise<void> {
    const { limits } = this.#options;
    const stale = this.#buffered.heads().filter((job) => this.#targets.isStale(this.#targets.latest(job)));
    if (stale.length === 0) return;
    try {
      await this.#targets.readAll(stale.map((job) => job.target.id));
    } catch (error) {
      // Each attempt reads its target itself.
      if (!isTransientStoreError(error)) this.#options.logger.error({ error: stackOf(error) }, "delivery.refresh_failed");
      return;
    }
    for (const job of stale) limits.update(this.#targets.latest(job).target);
    if (this.#sendBuffered(null)) this.wake();
  }

  /**
   * Releases matching jobs that are not in flight (of one endpoint only, unless `endpointId` is `null`), then claims those
   * that are still pending.
   */
  #releaseWhere(matches: (job: SendJob) => boolean, endpointId: string | null = null): void {
    this.#sender.drop(matches);
    const dropped = this.#buffered.takeWhere(matches, endpointId);
    if (dropped.length === 0) return;
    void this.#leases.release(dropped).then(() => this.wake());
  }

  #report(job: SendJob, error: unknown): void {
    this.#options.logger.error({ delivery_id: job.deliveryId, error: stackOf(error) }, "delivery.failed_unexpectedly");
  }
}

/** Whether the other job is an earlier event for the same endpoint. The endpoint may drop such a late event. */
function isObsolete(other: SendJob, delivered: SendJob): boolean {
  return other.mode !== "manual" && other.target.id === delivered.target.id && precedes(other.event, delivered.event);
}

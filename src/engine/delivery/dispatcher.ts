import type { Attempt, AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import { stackOf } from "../../domain/error-text.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import { precedes, watchIdOf } from "../../domain/events/event.ts";
import type { Commit, CommitListener, EndpointListener, Removal } from "../../ports/commit-listener.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { Poller } from "../polling/poller.ts";
import { EarliestTimer } from "../runtime/earliest-timer.ts";
import { AttemptRecorder } from "./attempt-recorder.ts";
import type { AttemptRecorderOptions, RecordedAttempt } from "./attempt-recorder.ts";
import type { DeliveryLimits, DeliveryPermit } from "./delivery-limits.ts";
import { hostKeyOf } from "./delivery-limits.ts";
import { JobBuffer } from "./job-buffer.ts";
import { startLimit } from "./adaptive-concurrency.ts";
import { LeaseReleaser } from "./lease-releaser.ts";
import { JobSender } from "./job-sender.ts";
import type { JobSenderOptions } from "./job-sender.ts";
import { LocalTrouble, notStartedRetryMs } from "../runtime/local-trouble.ts";
import { SerializedRuns } from "../runtime/serialized-runs.ts";
import { settledWithin } from "../runtime/timed-waits.ts";
import { RecentCancellations } from "./recent-cancellations.ts";

export type DispatcherOptions = JobSenderOptions &
  Omit<AttemptRecorderOptions, "store" | "random"> & {
    readonly store: DeliveryStore;
    readonly limits: DeliveryLimits;
    /** Stops polling calls that lost their last watch to a 410. */
    readonly poller: Pick<Poller, "rewatch">;
    /** Receive the attempts recorded here; the dispatcher sends the jobs of its own commits itself. */
    readonly listeners: readonly CommitListener[];
    /** Shared with the poller, so that trouble of both is logged once. */
    readonly localTrouble?: LocalTrouble;
    readonly random?: () => number;
  };

/** What the store could not be asked about is not tried again before. */
const afterStoreErrorMs = 1000;
/** What a fault of ours left without a record is not sent again before. */
const afterFaultMs = 60_000;

/**
 * Sends what is owed. A commit's own webhooks come leased through `accept` and go out from memory; everything else is
 * claimed from the store when it falls due. Whatever finds no room waits in memory, as much as may run at once, and the
 * rest is given back to the store: a dead endpoint with thousands owed is a few jobs here.
 *
 * A crash between commit and sending, or between answer and record, leaves the delivery pending in the store: the next
 * start sends it (again) with the same id.
 */
export class Dispatcher implements CommitListener, EndpointListener {
  readonly #options: DispatcherOptions;
  readonly #recorder: AttemptRecorder;
  readonly #leases: LeaseReleaser;
  readonly #alarm: EarliestTimer;
  readonly #cancellations: RecentCancellations;
  readonly #buffered: JobBuffer;
  readonly #outgoing: JobSender;
  readonly #claims = new SerializedRuns(() => this.#claimRound());
  /** From the moment a job was let in to the record of its attempt. */
  readonly #running = new Set<SendJob>();
  /** Something due was given back for want of room: whoever makes room looks for it. */
  #hasPendingInStore = false;
  /** Until then nothing is claimed but by the tick: what was claimed could not be started, and so could not the next. */
  #starvedUntilMonotonicMs = -Infinity;
  readonly #localTrouble: LocalTrouble;
  #state: "running" | "draining" | "stopped" = "running";
  #stopping: Promise<void> | null = null;
  #idle: (() => void) | null = null;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#recorder = new AttemptRecorder({ ...options, random: options.random ?? Math.random });
    this.#leases = new LeaseReleaser(options);
    this.#alarm = new EarliestTimer(options.clock, () => this.wake());
    this.#cancellations = new RecentCancellations(options.clock);
    this.#buffered = new JobBuffer(options.limits);
    this.#outgoing = new JobSender(options);
    this.#localTrouble = options.localTrouble ?? new LocalTrouble(options);
  }

  /** How often `tick` wants to be called at least: it heals whatever a wake-up missed. */
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
    if (watchId !== null) this.cancelWatch(watchId);
    if (deliveryIds.length > 0) this.cancelDeliveries(deliveryIds);
  }

  /** Takes jobs leased by a commit just made; how many of them were sent or wait here. */
  accept(jobs: readonly SendJob[]): number {
    const back = jobs.filter((job) => !this.#admit(job));
    if (back.length > 0) this.#hasPendingInStore = true;
    void this.#leases.release(back);
    return jobs.length - back.length;
  }

  /** Sends one whatever the gates say and resolves with the attempt as recorded; null when it was canceled, its lease lost, or the service stops. */
  async sendNow(job: SendJob): Promise<Attempt | null> {
    const permit = this.#mayStart(job) ? this.#options.limits.acquire(job.target, "manual") : null;
    if (permit !== null) return this.#send(job, permit);
    await this.#leases.release([job]);
    return null;
  }

  /** Gives the lease of one back that waits here for room, so that it can be claimed for an attempt by hand. */
  async releaseBuffered(deliveryId: string): Promise<void> {
    await this.#leases.release(this.#buffered.takeWhere((buffered) => buffered.deliveryId === deliveryId));
  }

  /** No attempt for this watch starts any more. */
  cancelWatch(watchId: string): void {
    this.#cancellations.removeWatch(watchId);
    this.#drop((job) => watchIdOf(job.event) === watchId);
  }

  /** Gives back what has not been sent to this endpoint; what is still owed is claimed anew. */
  cancelEndpoint(endpointId: string): void {
    this.#drop((job) => job.target.id === endpointId && job.mode === "scheduled", endpointId);
  }

  /** Its owner paused or disabled it: no attempt starts any more, but by hand to a paused one. */
  closeEndpoint(endpointId: string, state: "paused" | "disabled"): void {
    this.#cancellations.closeEndpoint(endpointId, state);
    this.#drop((job) => job.target.id === endpointId && !this.#cancellations.mayStart(job), endpointId);
  }

  /** Its owner enabled it: what it is owed may be due. */
  openEndpoint(endpointId: string): void {
    this.#cancellations.openEndpoint(endpointId);
    this.wake();
  }

  /** A new watch or hook named it: had it been disabled, it is enabled now, and what it is owed may be due. */
  reopenEndpoint(endpointId: string): void {
    if (this.#cancellations.reopenEndpoint(endpointId)) this.wake();
  }

  /** Canceled for good: no attempt of the schedule starts any more, though their leases may still be on their way here. */
  cancelDeliveries(deliveryIds: readonly string[]): void {
    for (const deliveryId of deliveryIds) this.#cancellations.cancelDelivery(deliveryId);
    this.#drop((job) => !this.#cancellations.mayStart(job));
  }

  /** They were settled behind our back: no attempt of theirs starts any more, but by hand. */
  dropFinished(deliveryIds: ReadonlySet<string>): void {
    this.#drop((job) => job.mode === "scheduled" && deliveryIds.has(job.deliveryId));
  }

  /** Our leases are nobody's any more: what waits in memory is somebody else's to send. What is on the wire is recorded if it can be. */
  discardBuffered(): void {
    this.#outgoing.drop(() => true);
    this.#buffered.takeWhere(() => true);
  }

  /** Starts what waited until this instance may begin work again. */
  resume(): void {
    this.accept(this.#buffered.takeWhere(() => true));
  }

  /** The leases that are in this process's hands. */
  leaseTokens(): ReadonlySet<number> {
    return new Set([...this.#running, ...this.#buffered.all()].map((job) => job.leaseToken));
  }

  /** Something may be due: look now. */
  wake(): void {
    this.tick().catch((error: unknown) => {
      // The loop's own tick will meet it too, and back off from it.
      this.#options.logger.error({ error: stackOf(error) }, "delivery.wake_failed");
    });
  }

  /** Sends what waits and may go, then claims and sends what is due, until nothing more is or there is no room. */
  async tick(): Promise<void> {
    if (this.#state === "running" && this.#mayBegin()) await this.#claims.run();
  }

  /** For where somebody else says when something is due: gives back what could not be given, and sends what waits. Asks the store nothing when there is neither. */
  async maintain(): Promise<void> {
    if (this.#state !== "running" || !this.#mayBegin()) return;
    this.#sendBuffered(null);
    if (await this.#leases.retry()) this.wake();
  }

  /** Starts nothing more; what is on the wire has `graceMs`, then it is aborted. Every lease is given back: a shutdown is no attempt. */
  stop(graceMs: number): Promise<void> {
    return (this.#stopping ??= this.#drain(graceMs));
  }

  async #drain(graceMs: number): Promise<void> {
    this.#state = "draining";
    this.#alarm.close();
    this.#drop(() => true);
    if (this.#running.size > 0 && graceMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle = resolve;
      await settledWithin(this.#options.clock, graceMs, promise);
    }
    this.#state = "stopped";
    this.#recorder.stop();
    const aborted = [...this.#running];
    await this.#options.sender.close();
    await this.#claims.ended();
    await this.#leases.release(aborted);
    await this.#leases.retry({ all: true });
  }

  async #claimRound(): Promise<void> {
    if (this.#state !== "running" || !this.#mayBegin()) return;
    try {
      await this.#leases.retry();
      this.#sendBuffered(null);
      await this.#claim();
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      // The next tick asks again.
      this.#options.logger.warn({ error: error.message }, "delivery.claim_failed");
    }
  }

  async #claim(): Promise<void> {
    const { store, limits, clock } = this.#options;
    const capacity = limits.capacity();
    if (capacity.nextTokenInMs !== null) this.#alarm.setWithin(capacity.nextTokenInMs);
    // Whoever ends an exchange then looks again.
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
    if (nextDueAtMs !== null) this.#alarm.setWithin(nextDueAtMs - clock.nowMs());
  }

  #mayStart(job: SendJob): boolean {
    return this.#state === "running" && this.#cancellations.mayStart(job);
  }

  /** Sends it, or lets it wait; false: it must go back. */
  #admit(job: SendJob): boolean {
    if (!this.#mayStart(job)) return false;
    // Nobody overtakes who waits for the same endpoint, unless somebody wanted it now.
    const isNext = job.mode === "manual" || this.#buffered.countFor(job.target.id) === 0;
    return (isNext && this.#mayBegin() && this.#start(job)) || this.#buffered.add(job);
  }

  #mayBegin(): boolean {
    return this.#options.mayStart?.() ?? true;
  }

  /** Sends it if the gates let it in. If it is a rate that keeps it out, its next token wakes us. */
  #start(job: SendJob): boolean {
    const { limits } = this.#options;
    const permit = limits.acquire(job.target, job.mode);
    if (permit !== null) void this.#send(job, permit);
    else {
      const tokenInMs = limits.tokenInMs(job.target);
      if (tokenInMs > 0) this.#alarm.setWithin(tokenInMs);
    }
    return permit !== null;
  }

  async #send(job: SendJob, permit: DeliveryPermit): Promise<Attempt | null> {
    const { limits } = this.#options;
    this.#running.add(job);
    let outcome: AttemptOutcome | null = null;
    let recorded: RecordedAttempt | null = null;
    try {
      const startedAtMs = this.#options.clock.nowMs();
      const exchange = await this.#outgoing.send(job, startedAtMs);
      if (exchange === null) await this.#leases.release([job]);
      else if (exchange.outcome.kind === "not_started") this.#postpone(job, exchange.outcome);
      else {
        const finished = { startedAtMs, durationMs: exchange.durationMs, outcome: exchange.outcome };
        outcome = finished.outcome;
        if (this.#state !== "stopped") recorded = await this.#recorder.record(job, finished);
      }
    } catch (error) {
      this.#report(job, error);
      this.#leases.releaseLater(job, isTransientStoreError(error) ? afterStoreErrorMs : afterFaultMs);
    }
    const wasFull = limits.isFull(permit.failing);
    this.#running.delete(job);
    limits.release(permit, outcome);
    try {
      if (recorded !== null) this.#follow(job, recorded);
    } catch (error) {
      this.#report(job, error);
    }
    this.#useCapacity(permit, wasFull || recorded === null);
    if (this.#running.size === 0) this.#idle?.();
    return recorded?.attempt ?? null;
  }

  /** No attempt was made, for want of something here: the delivery is as it was, and due again in a second. */
  #postpone(job: SendJob, trouble: NotStarted): void {
    this.#starvedUntilMonotonicMs = this.#options.clock.monotonicMs() + notStartedRetryMs;
    this.#localTrouble.report(trouble);
    this.#leases.releaseLater(job, notStartedRetryMs);
    this.#alarm.setWithin(notStartedRetryMs);
  }

  get #isStarved(): boolean {
    return this.#options.clock.monotonicMs() < this.#starvedUntilMonotonicMs;
  }

  /** What an attempt that was recorded means for the others. */
  #follow(job: SendJob, recorded: RecordedAttempt): void {
    const { clock, poller, listeners } = this.#options;
    const { endpoint, delivery, endpointNextDueAtMs } = recorded;
    const nowMs = clock.nowMs();
    this.accept(recorded.jobs);
    for (const callId of recorded.unwatchedCallIds) poller.rewatch(callId, null);
    for (const listener of listeners) listener.committed(recorded);
    if (endpoint.state !== "enabled") this.cancelEndpoint(job.target.id);
    // While a pause runs, and after it until a 2xx, the store hands out one at a time.
    if (endpoint.health.consecutivePauses > 0 || (endpoint.hostPausedUntilMs ?? 0) > nowMs)
      this.#drop((other) => hostKeyOf(other.target) === hostKeyOf(job.target) && other.mode === "scheduled");
    // What stands before it in its lane may have become pointless.
    if (delivery.status === "delivered") this.#drop((other) => isMadePointless(other, job), job.target.id);
    if (endpointNextDueAtMs !== null) this.#alarm.setWithin(endpointNextDueAtMs - nowMs);
  }

  /** An exchange has ended: whoever waits for its endpoint or host may go at once; if everything was full, the next round sends whoever waits at all. */
  #useCapacity({ hostKey }: DeliveryPermit, wasFull: boolean): void {
    const started = this.#sendBuffered(hostKey);
    if (!this.#isStarved && (started || wasFull || this.#hasPendingInStore)) this.wake();
  }

  /** Whether any of those that wait, for this host or (null) for any, could be sent. */
  #sendBuffered(hostKey: string | null): boolean {
    const isFull = () => this.#state !== "running" || !this.#mayBegin() || this.#options.limits.isFull(false);
    return this.#buffered.start(hostKey, isFull, (job) => this.#start(job));
  }

  /** Of what has not reached the wire, gives back whatever matches, and looks for what of it is still owed. `endpointId`: of this one alone. */
  #drop(matches: (job: SendJob) => boolean, endpointId: string | null = null): void {
    this.#outgoing.drop(matches);
    const dropped = this.#buffered.takeWhere(matches, endpointId);
    if (dropped.length === 0) return;
    void this.#leases.release(dropped).then(() => this.wake());
  }

  #report(job: SendJob, error: unknown): void {
    this.#options.logger.error({ delivery_id: job.deliveryId, error: stackOf(error) }, "delivery.failed_unexpectedly");
  }
}

/** An earlier event for the same receiver, which may want no late ones. */
function isMadePointless(other: SendJob, delivered: SendJob): boolean {
  return other.mode === "scheduled" && other.target.id === delivered.target.id && precedes(other.event, delivered.event);
}

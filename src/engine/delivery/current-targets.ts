import type { Clock } from "../../ports/clock.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { SendJob, SendTarget } from "../../ports/stores/send-job.ts";

export type CurrentTargetsOptions = {
  readonly store: Pick<DeliveryStore, "readTargets">;
  readonly clock: Clock;
  /**
   * Age at which a target is read again, at most `rememberMs`. Bounds how late the changes of other processes are applied;
   * 30 s if left out, for a process that has the store alone.
   */
  readonly targetMaxAgeMs?: number;
};

const aloneMaxAgeMs = 30_000;
/**
 * Time that signing may take after a target was read. With half a second of age an attempt applies every change that is a
 * second old.
 */
const signingMs = 400;
/** Time for which a change is remembered, longer than a target may be old. */
const rememberMs = 60_000;

type Known = {
  /** Number of the newest change by this process; 0 if there was none. */
  readonly change: number;
  /** Wall time of that change, or `-Infinity`. */
  readonly changedAtMs: number;
  /** Newest target read since the change: `undefined` if none was read, `null` if the endpoint was deleted. */
  readonly target: SendTarget | null | undefined;
  /** Wall time at which that read was requested; the time of the change if none was. */
  readonly readAtMs: number;
};

/**
 * The newest known targets of endpoints that changed or that jobs waited for. An attempt uses the endpoint's format, headers,
 * secrets and limits of its own time, but a job carries those of its lease: it may have waited in memory or for the answer of
 * its commit. A job is stale if this process changed the endpoint after the lease, or if its target is older than
 * `targetMaxAgeMs`, because no notification of another process is certain to arrive.
 *
 * Ages are of wall time. After the clock was set back a target is of the future, and counts as stale.
 */
export class CurrentTargets {
  readonly #options: CurrentTargetsOptions;
  readonly #maxAgeMs: number;
  /** The oldest first. */
  readonly #known = new Map<string, Known>();
  #changes = 0;
  readonly #wanted = new Set<string>();
  /** Read of the wanted targets; `null` if none is requested. */
  #next: Promise<void> | null = null;
  /** The last read that was started or is to start. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: CurrentTargetsOptions) {
    this.#options = options;
    this.#maxAgeMs = options.targetMaxAgeMs ?? aloneMaxAgeMs;
  }

  /** Marks every target of the endpoint that was read before as stale. */
  change(endpointId: string): void {
    const nowMs = this.#options.clock.nowMs();
    this.#changes += 1;
    this.#remember(endpointId, { change: this.#changes, changedAtMs: nowMs, target: undefined, readAtMs: nowMs });
  }

  /** Returns the job with the newest target known without a read. */
  latest(job: SendJob): SendJob {
    const known = this.#known.get(job.target.id);
    return known?.target && known.readAtMs >= job.targetAsOfMs ? { ...job, target: known.target, targetAsOfMs: known.readAtMs } : job;
  }

  /** Whether the target of a job from `latest` or `read` must be read again before it is signed, or, with `signed`, sent. */
  isStale({ target, targetAsOfMs }: SendJob, { signed }: { readonly signed: boolean } = { signed: false }): boolean {
    const ageMs = this.#options.clock.nowMs() - targetAsOfMs;
    if (ageMs < 0 || ageMs > this.#maxAgeMs + (signed ? signingMs : 0)) return true;
    const known = this.#known.get(target.id);
    return known !== undefined && targetAsOfMs <= known.changedAtMs && target !== known.target;
  }

  /**
   * Reads the target of a job, together with others that are requested meanwhile. Resolves with `null` if the attempt must not
   * start: the endpoint was deleted or disabled, or it was paused and the job is scheduled. Rejects with the error of the store.
   */
  async read(job: SendJob): Promise<SendJob | null> {
    const { id } = job.target;
    await this.readAll([id]);
    const { target, readAtMs } = this.#known.get(id) ?? {};
    // A change came after the read was requested.
    if (target === undefined || readAtMs === undefined) return this.read(job);
    if (target === null || target.state === "disabled" || (target.state === "paused" && job.mode !== "manual")) return null;
    return { ...job, target, targetAsOfMs: readAtMs };
  }

  /** Reads the targets of endpoints. Rejects with the error of the store. */
  async readAll(endpointIds: readonly string[]): Promise<void> {
    for (const endpointId of endpointIds) this.#wanted.add(endpointId);
    if (this.#next === null) {
      const afterLast = this.#last.catch(() => undefined);
      this.#next = afterLast.then(() => this.#readWanted());
      this.#last = this.#next;
    }
    await this.#next;
  }

  async #readWanted(): Promise<void> {
    const endpointIds = [...this.#wanted];
    this.#wanted.clear();
    this.#next = null;
    const changes = endpointIds.map((endpointId) => this.#known.get(endpointId)?.change ?? 0);
    const readAtMs = this.#options.clock.nowMs();
    const targets = new Map((await this.#options.store.readTargets(endpointIds)).map((target) => [target.id, target]));
    for (const [index, endpointId] of endpointIds.entries()) {
      const { change = 0, changedAtMs = -Infinity } = this.#known.get(endpointId) ?? {};
      if (change === changes[index]) this.#remember(endpointId, { change, changedAtMs, target: targets.get(endpointId) ?? null, readAtMs });
    }
  }

  #remember(endpointId: string, known: Known): void {
    this.#known.delete(endpointId);
    this.#known.set(endpointId, known);
    const nowMs = this.#options.clock.nowMs();
    for (const [oldest, { readAtMs }] of this.#known) {
      if (Math.abs(nowMs - readAtMs) <= rememberMs) return;
      this.#known.delete(oldest);
    }
  }
}

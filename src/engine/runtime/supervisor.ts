import type { Clock } from "../../ports/clock.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import { Loop } from "./loop.ts";
import { settledWithin } from "./timed-waits.ts";

export type SupervisorOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Called after the wall clock was set back by `deltaMs`, so that due times move back with it. */
  readonly onClockSetBack: (deltaMs: number) => Promise<void>;
};

const checkEveryMs = 1000;
const silentAfterMs = 30_000;
const deadAfterMs = 60_000;
const stepMs = 30_000;
/** Delay of the supervisor's own check beyond which the whole process was suspended, so that no loop is at fault. */
const suspendedMs = 10_000;

/** Starts and stops the loops, detects a dead one, and follows steps of the wall clock. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #loops: Loop[] = [];
  readonly #checkLoop: Loop;
  readonly #fatal = Promise.withResolvers<Error>();
  /** Wall time minus monotonic time; constant until the clock is set. */
  #offsetMs: number;
  /** Sum of the steps back that due times have not followed yet. */
  #pendingShiftMs = 0;
  #isShifting = false;
  #checkedAtMonotonicMs: number;
  /** Start of the time in which the process ran without a suspension. */
  #runningSinceMonotonicMs: number;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#offsetMs = this.#currentOffsetMs();
    this.#checkedAtMonotonicMs = options.clock.monotonicMs();
    this.#runningSinceMonotonicMs = this.#checkedAtMonotonicMs;
    this.#checkLoop = new Loop({
      name: "supervisor",
      everyMs: checkEveryMs,
      clock: options.clock,
      logger: options.logger,
      tick: () => this.#check(),
    });
  }

  /** Resolves when a loop has been dead for a minute; the process must end then. */
  get fatal(): Promise<Error> {
    return this.#fatal.promise;
  }

  add(loop: { readonly name: string; readonly everyMs: number; readonly tick: () => void | Promise<void> }): void {
    this.#loops.push(new Loop({ ...loop, clock: this.#options.clock, logger: this.#options.logger }));
  }

  start(): void {
    this.#checkedAtMonotonicMs = this.#options.clock.monotonicMs();
    for (const loop of [...this.#loops, this.#checkLoop]) loop.start();
  }

  /** Starts no more rounds and waits at most `graceMs` for those under way, because one may hang. */
  async stop(graceMs: number): Promise<void> {
    const stopped = Promise.all([...this.#loops, this.#checkLoop].map((loop) => loop.stop()));
    await settledWithin(this.#options.clock, graceMs, stopped);
  }

  /** Names of the loops that have not ticked for 30 s. */
  silentLoops(): readonly string[] {
    return this.#silentFor(silentAfterMs);
  }

  #silentFor(ms: number): readonly string[] {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#checkedAtMonotonicMs > suspendedMs) return [];
    const since = (loop: Loop) => Math.max(loop.lastTickMonotonicMs, this.#runningSinceMonotonicMs);
    return this.#loops.filter((loop) => nowMs - since(loop) > ms).map((loop) => loop.name);
  }

  #check(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#checkedAtMonotonicMs > suspendedMs) this.#runningSinceMonotonicMs = nowMs;
    this.#checkedAtMonotonicMs = nowMs;
    const [dead] = this.#silentFor(deadAfterMs);
    if (dead !== undefined) this.#fatal.resolve(new Error(`the loop ${dead} has not ticked for ${deadAfterMs / 1000} s`));
    this.#followWallClock();
    if (this.#pendingShiftMs > 0 && !this.#isShifting) void this.#shift(this.#pendingShiftMs);
  }

  #followWallClock(): void {
    const offsetMs = this.#currentOffsetMs();
    const steppedMs = Math.round(offsetMs - this.#offsetMs);
    if (Math.abs(steppedMs) <= stepMs) return;
    this.#offsetMs = offsetMs;
    this.#options.logger.warn({ stepped_ms: steppedMs }, "clock.stepped");
    this.#options.metrics.wallClockStepped();
    if (steppedMs < 0) this.#pendingShiftMs -= steppedMs;
  }

  /**
   * Moves the stored due times back by `deltaMs`. Checks do not await the move, so that an unavailable store does not stop
   * them. The next check repeats a move that failed.
   */
  async #shift(deltaMs: number): Promise<void> {
    this.#isShifting = true;
    try {
      await this.#options.onClockSetBack(deltaMs);
      this.#pendingShiftMs -= deltaMs;
    } catch (error) {
      this.#options.logger.warn({ error: String(error) }, "clock.shift_failed");
    } finally {
      this.#isShifting = false;
    }
  }

  #currentOffsetMs(): number {
    return this.#options.clock.nowMs() - this.#options.clock.monotonicMs();
  }
}

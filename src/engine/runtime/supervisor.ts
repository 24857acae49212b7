import type { Clock } from "../../ports/clock.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import { Loop } from "./loop.ts";
import { settledWithin } from "./timed-waits.ts";

export type SupervisorOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The wall clock was set back by so much: what waits must not wait for it. */
  readonly onClockSetBack: (deltaMs: number) => Promise<void>;
};

const watchEveryMs = 1000;
const silentAfterMs = 30_000;
const deadAfterMs = 60_000;
const stepMs = 30_000;
/** The watch itself was this late: the process stood still (stopped, frozen, starved), and no loop is to blame for that. */
const standstillMs = 10_000;

/** Starts and stops the loops, notices one that has died, and watches the wall clock. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #loops: Loop[] = [];
  readonly #watch: Loop;
  readonly #fatal = Promise.withResolvers<Error>();
  /** Wall less monotonic time: constant until somebody sets the clock. */
  #offsetMs: number;
  /** By how much what waits is still to be moved. */
  #owedShiftMs = 0;
  #isShifting = false;
  #lookedAtMonotonicMs: number;
  /** Since when the process has run without a standstill. */
  #runningSinceMonotonicMs: number;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#offsetMs = this.#currentOffsetMs();
    this.#lookedAtMonotonicMs = options.clock.monotonicMs();
    this.#runningSinceMonotonicMs = this.#lookedAtMonotonicMs;
    this.#watch = new Loop({
      name: "supervisor",
      everyMs: watchEveryMs,
      clock: options.clock,
      logger: options.logger,
      tick: () => this.#look(),
    });
  }

  /** Resolves when a loop has been dead for a minute: the process must end, for nobody else would notice. */
  get fatal(): Promise<Error> {
    return this.#fatal.promise;
  }

  add(loop: { readonly name: string; readonly everyMs: number; readonly tick: () => void | Promise<void> }): void {
    this.#loops.push(new Loop({ ...loop, clock: this.#options.clock, logger: this.#options.logger }));
  }

  start(): void {
    this.#lookedAtMonotonicMs = this.#options.clock.monotonicMs();
    for (const loop of [...this.#loops, this.#watch]) loop.start();
  }

  /** No round begins any more; those that run have `graceMs`, for one that hangs must not hold up the end. */
  async stop(graceMs: number): Promise<void> {
    const stopped = Promise.all([...this.#loops, this.#watch].map((loop) => loop.stop()));
    await settledWithin(this.#options.clock, graceMs, stopped);
  }

  /** Loops that have not ticked for half a minute. */
  silentLoops(): readonly string[] {
    return this.#silentFor(silentAfterMs);
  }

  #silentFor(ms: number): readonly string[] {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#lookedAtMonotonicMs > standstillMs) return [];
    const since = (loop: Loop) => Math.max(loop.lastTickMonotonicMs, this.#runningSinceMonotonicMs);
    return this.#loops.filter((loop) => nowMs - since(loop) > ms).map((loop) => loop.name);
  }

  #look(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#lookedAtMonotonicMs > standstillMs) this.#runningSinceMonotonicMs = nowMs;
    this.#lookedAtMonotonicMs = nowMs;
    const [dead] = this.#silentFor(deadAfterMs);
    if (dead !== undefined) this.#fatal.resolve(new Error(`the loop ${dead} has not ticked for ${deadAfterMs / 1000} s`));
    this.#followWallClock();
    if (this.#owedShiftMs > 0 && !this.#isShifting) void this.#shift(this.#owedShiftMs);
  }

  #followWallClock(): void {
    const offsetMs = this.#currentOffsetMs();
    const steppedMs = Math.round(offsetMs - this.#offsetMs);
    if (Math.abs(steppedMs) <= stepMs) return;
    this.#offsetMs = offsetMs;
    this.#options.logger.warn({ stepped_ms: steppedMs }, "clock.stepped");
    this.#options.metrics.wallClockStepped();
    if (steppedMs < 0) this.#owedShiftMs -= steppedMs;
  }

  /** Not waited for: a store that is away must not keep the watch from looking. The next look tries again. */
  async #shift(deltaMs: number): Promise<void> {
    this.#isShifting = true;
    try {
      await this.#options.onClockSetBack(deltaMs);
      this.#owedShiftMs -= deltaMs;
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

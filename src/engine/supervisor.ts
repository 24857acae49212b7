import type { Clock } from "../ports/clock.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import { Loop } from "./loop.ts";

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

/** Starts and stops the loops, notices one that has died, and watches the wall clock. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #loops: Loop[] = [];
  readonly #watch: Loop;
  readonly #fatal = Promise.withResolvers<Error>();
  /** Wall less monotonic time: constant until somebody sets the clock. */
  #offsetMs: number;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#offsetMs = this.#currentOffsetMs();
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
    for (const loop of [...this.#loops, this.#watch]) loop.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#loops, this.#watch].map((loop) => loop.stop()));
  }

  /** Loops that have not ticked for half a minute. */
  silentLoops(): readonly string[] {
    return this.#silentFor(silentAfterMs);
  }

  #silentFor(ms: number): readonly string[] {
    const nowMs = this.#options.clock.monotonicMs();
    return this.#loops.filter((loop) => nowMs - loop.lastTickMonotonicMs > ms).map((loop) => loop.name);
  }

  async #look(): Promise<void> {
    const [dead] = this.#silentFor(deadAfterMs);
    if (dead !== undefined) this.#fatal.resolve(new Error(`the loop ${dead} has not ticked for ${deadAfterMs / 1000} s`));
    const offsetMs = this.#currentOffsetMs();
    const steppedMs = offsetMs - this.#offsetMs;
    if (Math.abs(steppedMs) <= stepMs) return;
    this.#options.logger.warn({ stepped_ms: Math.round(steppedMs) }, "clock.stepped");
    this.#options.metrics.wallClockStepped();
    if (steppedMs < 0) await this.#options.onClockSetBack(Math.round(-steppedMs));
    this.#offsetMs = offsetMs;
  }

  #currentOffsetMs(): number {
    return this.#options.clock.nowMs() - this.#options.clock.monotonicMs();
  }
}

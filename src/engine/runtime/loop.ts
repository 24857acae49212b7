import { stackOf } from "../../domain/error-text.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Logger } from "../../ports/telemetry.ts";

export type LoopOptions = {
  readonly name: string;
  readonly everyMs: number;
  /**
   * One round. The next one starts `everyMs` after its end. A transient store error is expected and logged as a warning; any
   * other error is a bug. The loop backs off after both.
   */
  readonly tick: () => void | Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
};

const maxBackoffMs = 30_000;
/** A loop with a longer period tries sooner after a failure, because what it does is late. */
const firstBackoffMs = 1000;

/**
 * The skeleton of every background loop: start, tick, stop. `stop` may be called twice and resolves when no round is
 * under way; the supervisor notices a round that hangs.
 */
export class Loop {
  readonly #options: LoopOptions;
  #timer: Timer | null = null;
  #running: Promise<void> | null = null;
  #failures = 0;
  #stopped = false;
  #lastTickMonotonicMs: number;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#lastTickMonotonicMs = options.clock.monotonicMs();
  }

  get name(): string {
    return this.#options.name;
  }

  /** End of the last round that did not fail. */
  get lastTickMonotonicMs(): number {
    return this.#lastTickMonotonicMs;
  }

  start(): void {
    this.#lastTickMonotonicMs = this.#options.clock.monotonicMs();
    this.#wait(0);
  }

  /** Runs one round now, or joins the one under way. */
  tick(): Promise<void> {
    this.#running ??= this.#round().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #round(): Promise<void> {
    const { tick, clock, logger, name } = this.#options;
    try {
      await tick();
      this.#failures = 0;
      this.#lastTickMonotonicMs = clock.monotonicMs();
    } catch (error) {
      this.#failures += 1;
      if (isTransientStoreError(error)) {
        // The loop itself is healthy: the store recovers, or ends the process.
        this.#lastTickMonotonicMs = clock.monotonicMs();
        logger.warn({ loop: name, error: error.message }, "loop.waits_for_store");
        return;
      }
      logger.error({ loop: name, error: stackOf(error) }, "loop.failed");
    }
  }

  #wait(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      void this.tick().then(() => {
        const { everyMs } = this.#options;
        const backoffMs = Math.min(Math.min(everyMs, firstBackoffMs) * 2 ** Math.min(this.#failures, 10), maxBackoffMs);
        this.#wait(this.#failures === 0 ? everyMs : backoffMs);
      });
    });
  }
}

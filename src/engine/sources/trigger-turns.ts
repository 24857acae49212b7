import { FairQueue } from "../../domain/fair-queue.ts";
import type { Clock, Timer } from "../../ports/clock.ts";

/**
 * End of the wait of a trigger. `closed` if the source is suspended or was replaced, `late` if no turn came in time,
 * `stopped` if the process is stopping.
 */
export type TurnEnd = "turn" | "closed" | "late" | "stopped";

type TriggerGate = { triggersWaiting: number; takeTriggerTurn(): number | null };
type Waiter = { readonly gate: TriggerGate; readonly settle: (end: TurnEnd) => void };

/** Longest wait between two looks at the rate, because a rate may be granted and a throttle may end meanwhile. */
const lookAgainMs = 500;

/** Triggers that wait for a token of their source's rate. Accounts take turns, so that one with many waits no longer than others. */
export class TriggerTurns {
  readonly #clock: Clock;
  /** Returns the gate of the source, which changes with its upstream. */
  readonly #gate: () => TriggerGate;
  readonly #queue = new FairQueue<Waiter>();
  #timer: Timer | null = null;
  #isStopped = false;

  constructor(clock: Clock, gate: () => TriggerGate) {
    this.#clock = clock;
    this.#gate = gate;
  }

  /** Waits for a turn of the account. Never rejects. */
  wait(accountId: string, maxWaitMs: number): Promise<TurnEnd> {
    if (this.#isStopped) return Promise.resolve("stopped");
    const gate = this.#gate();
    const { promise, resolve } = Promise.withResolvers<TurnEnd>();
    const settle = (end: TurnEnd) => {
      deadline.cancel();
      this.#queue.remove(queued);
      gate.triggersWaiting -= 1;
      resolve(end);
      if (this.#queue.size === 0) this.#stopLooking();
    };
    gate.triggersWaiting += 1;
    const queued = this.#queue.add(accountId, { gate, settle }, 1);
    const deadline = this.#clock.setTimer(maxWaitMs, () => settle("late"));
    this.#giveTurns();
    return promise;
  }

  /** Ends every wait, and those to come at once, so that nothing is sent after a stop. */
  stop(): void {
    this.#isStopped = true;
    for (let next = this.#queue.peek(); next !== null; next = this.#queue.peek()) next.item.settle("stopped");
  }

  #giveTurns(): void {
    this.#stopLooking();
    for (let next = this.#queue.peek(); next !== null; next = this.#queue.peek()) {
      const { gate, settle } = next.item;
      const waitMs = gate === this.#gate() ? gate.takeTriggerTurn() : null;
      if (waitMs !== null && waitMs > 0) {
        this.#timer = this.#clock.setTimer(Math.min(waitMs, lookAgainMs), () => this.#giveTurns());
        return;
      }
      // Only what is taken counts for the turns of its account.
      if (waitMs === 0) this.#queue.take();
      settle(waitMs === null ? "closed" : "turn");
    }
  }

  #stopLooking(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

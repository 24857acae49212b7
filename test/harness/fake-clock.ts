import { setImmediate as nextTurn } from "node:timers";
import { setImmediate } from "node:timers/promises";
import type { Clock, Timer } from "../../src/ports/clock.ts";

type Pending = { readonly atMs: number; readonly order: number; readonly fire: () => void };

/** A clock that only the test moves. `settleTurns` turns of the loop run after every timer. */
export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #order = 0;
  readonly #timers = new Set<Pending>();
  readonly settleTurns: number;

  constructor(wallMs = Date.UTC(2026, 10, 24, 12), settleTurns = 3) {
    this.#wallMs = wallMs;
    this.settleTurns = settleTurns;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const pending = { atMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, fire };
    this.#timers.add(pending);
    return { cancel: () => void this.#timers.delete(pending) };
  }

  nextTurn(run: () => void): void {
    nextTurn(run);
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Sets the wall clock without moving monotonic time. */
  setWall(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  /** Lets `ms` pass, firing what falls due in order, with time for promises to settle after each: `settle` unless given. */
  async advance(ms: number, settle: () => Promise<void> = () => this.settle()): Promise<void> {
    const untilMs = this.#monotonicMs + ms;
    await settle();
    for (let next = this.#nextBefore(untilMs); next !== null; next = this.#nextBefore(untilMs)) {
      this.#timers.delete(next);
      this.#passTo(next.atMs);
      next.fire();
      await settle();
    }
    this.#passTo(untilMs);
    await settle();
  }

  /** Lets time pass without a timer, as if the process was frozen. */
  standStill(ms: number): void {
    this.#passTo(this.#monotonicMs + ms);
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < this.settleTurns; turn++) await setImmediate();
  }

  /** Lets `ms` pass at once, as for a machine that was asleep: what fell due meanwhile fires after it, in order and once. */
  async leap(ms: number): Promise<void> {
    await this.settle();
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.#monotonicMs + ms);
    this.#passTo(this.#monotonicMs + ms);
    for (const pending of due.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order)) {
      if (!this.#timers.delete(pending)) continue;
      pending.fire();
      await this.settle();
    }
    await this.settle();
  }

  #nextBefore(untilMs: number): Pending | null {
    let next: Pending | null = null;
    for (const timer of this.#timers)
      if (timer.atMs <= untilMs && (next === null || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.order < next.order)))
        next = timer;
    return next;
  }

  #passTo(atMs: number): void {
    const passedMs = Math.max(0, atMs - this.#monotonicMs);
    this.#monotonicMs += passedMs;
    this.#wallMs += passedMs;
  }
}

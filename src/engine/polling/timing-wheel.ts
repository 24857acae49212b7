import type { Clock, Timer } from "../../ports/clock.ts";

/** Fields of an entry that belong to the timing wheel. */
export type WheelEntry = {
  dueAtMonotonicMs: number;
  /** Slot that holds the entry; -1 if none does. */
  wheelSlot: number;
  wheelIndex: number;
};

/** Wider slots send more polls in one turn, and webhooks wait behind their answers; narrower ones cost processor time. */
const slotMs = 12;
const slots = 4096;

/**
 * Hashed timing wheel with one timer, so that waiting entries cost nothing until they are due. An entry further away than
 * one turn (49 s) stays in its slot for several turns. Entries never fire early, and at most one slot's width (12 ms)
 * late; entries that are due together fire in order.
 */
export class TimingWheel<Entry extends WheelEntry> {
  readonly #clock: Clock;
  readonly #onDue: (entries: readonly Entry[]) => void;
  readonly #slots: Entry[][] = Array.from({ length: slots }, () => []);
  #size = 0;
  /** First tick that has not fired. */
  #nextTick: number;
  #timer: Timer | null = null;
  #timerTick = 0;

  constructor(clock: Clock, onDue: (entries: readonly Entry[]) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#nextTick = Math.floor(clock.monotonicMs() / slotMs);
  }

  get size(): number {
    return this.#size;
  }

  /** Adds an entry, or moves one that is waiting. */
  add(entry: Entry, dueAtMonotonicMs: number): void {
    this.remove(entry);
    entry.dueAtMonotonicMs = dueAtMonotonicMs;
    const tick = Math.max(Math.ceil(dueAtMonotonicMs / slotMs), this.#nextTick);
    this.#place(entry, tick);
    this.#size += 1;
    this.#setTimer(Math.min(tick, this.#nextTick + slots - 1));
  }

  remove(entry: Entry): void {
    if (entry.wheelSlot < 0) return;
    const slot = this.#slots[entry.wheelSlot];
    const last = slot?.pop();
    if (slot !== undefined && last !== undefined && last !== entry) {
      slot[entry.wheelIndex] = last;
      last.wheelIndex = entry.wheelIndex;
    }
    entry.wheelSlot = -1;
    this.#size -= 1;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Fires the due entries, then waits for the next slot that is not empty. */
  tick(): void {
    const nowTick = Math.floor(this.#clock.monotonicMs() / slotMs);
    const due: Entry[] = [];
    // At most one turn, which visits every slot, even after a long suspension of the process.
    const turns = Math.min(nowTick - this.#nextTick + 1, slots);
    for (let turn = 0; turn < turns; turn++) this.#collect((this.#nextTick + turn) % slots, nowTick, due);
    this.#nextTick = Math.max(this.#nextTick, nowTick + 1);
    this.#wait();
    if (due.length === 0) return;
    this.#onDue(due.toSorted((a, b) => a.dueAtMonotonicMs - b.dueAtMonotonicMs));
  }

  #collect(slotIndex: number, nowTick: number, due: Entry[]): void {
    const slot = this.#slots[slotIndex];
    if (slot === undefined || slot.length === 0) return;
    const waiting = slot.splice(0);
    for (const entry of waiting) {
      const tick = Math.ceil(entry.dueAtMonotonicMs / slotMs);
      if (tick > nowTick) this.#place(entry, tick);
      else {
        entry.wheelSlot = -1;
        this.#size -= 1;
        due.push(entry);
      }
    }
  }

  #place(entry: Entry, tick: number): void {
    entry.wheelSlot = tick % slots;
    const slot = this.#slots[entry.wheelSlot];
    if (slot !== undefined) entry.wheelIndex = slot.push(entry) - 1;
  }

  #wait(): void {
    this.stop();
    if (this.#size === 0) return;
    for (let ahead = 0; ahead < slots; ahead++)
      if ((this.#slots[(this.#nextTick + ahead) % slots]?.length ?? 0) > 0) {
        this.#setTimer(this.#nextTick + ahead);
        return;
      }
  }

  #setTimer(tick: number): void {
    if (this.#timer !== null && this.#timerTick <= tick) return;
    this.#timer?.cancel();
    this.#timerTick = tick;
    this.#timer = this.#clock.setTimer(tick * slotMs - this.#clock.monotonicMs(), () => {
      this.#timer = null;
      this.tick();
    });
  }
}

import { setImmediate } from "node:timers/promises";
import type { Clock, Timer } from "./engine-adapter.ts";
import type { Random } from "./random.ts";

/** What is to happen at a time; `owner` null: outside of every process, so that no crash undoes it. */
type Task = {
  readonly atMs: number;
  /** Decides between those of the same time. */
  readonly tie: number;
  readonly owner: Lifetime | null;
  readonly run: () => void;
  isCanceled: boolean;
};

/** One life of a process: what it set off ends with it, and stands still while it is frozen. */
export class Lifetime {
  readonly name: string;
  /** Null while it runs. */
  endedAtMs: number | null = null;
  /** While it stands still; past it, when it last went on. */
  frozenUntilMs = -1;
  /** When others took over what it had, though it went on. */
  readonly fencedAtMs: number[] = [];
  /** Timers of its clock that have neither fired nor been canceled. */
  readonly timers = new Set<object>();

  constructor(name: string) {
    this.name = name;
  }

  get isOver(): boolean {
    return this.endedAtMs !== null;
  }
}

/**
 * Virtual time and the seeded choice of what runs next. Nothing else drives a simulated world: timers, answers of the
 * store and of the network, steps of clients are tasks here. Promises that a task starts are settled before the next task.
 */
export class Scheduler {
  readonly #random: Random;
  readonly #heap: Task[] = [];
  #nowMs = 0;
  #steps = 0;
  /** Wall less monotonic time; a step of the wall clock changes it. */
  wallOffsetMs: number;

  constructor(random: Random, wallStartMs: number) {
    this.#random = random;
    this.wallOffsetMs = wallStartMs;
  }

  /** Monotonic. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get wallMs(): number {
    return Math.round(this.#nowMs + this.wallOffsetMs);
  }

  /** How many tasks have run. */
  get steps(): number {
    return this.#steps;
  }

  schedule(delayMs: number, run: () => void, owner: Lifetime | null = null): Timer {
    const task = { atMs: this.#nowMs + Math.max(0, delayMs), tie: this.#random.fraction(), owner, run, isCanceled: false };
    this.#push(task);
    return {
      cancel: () => {
        task.isCanceled = true;
      },
    };
  }

  /** Runs the next task and all that follows from it in promises; false: there is none at or before `untilMs`, where time stands then. */
  async step(untilMs: number): Promise<boolean> {
    let task = this.#take(untilMs);
    if (task === null) {
      // What was begun before the first task may not have come to its first wait yet.
      await setImmediate();
      task = this.#take(untilMs);
    }
    if (task === null) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return false;
    }
    this.#nowMs = Math.max(this.#nowMs, task.atMs);
    this.#steps += 1;
    task.run();
    // No macrotask is ever made by what runs here: one turn of the loop drains every promise that can go on.
    await setImmediate();
    return true;
  }

  /** The clock of a process, whose timers end with it. */
  clockOf(owner: Lifetime): Clock {
    return {
      nowMs: () => this.wallMs,
      monotonicMs: () => this.#nowMs,
      setTimer: (delayMs, fire) => this.#setTimer(owner, delayMs, fire),
      nextTurn: (run) => void this.schedule(0, run, owner),
    };
  }

  #setTimer(owner: Lifetime, delayMs: number, fire: () => void): Timer {
    if (owner.isOver) return { cancel: () => undefined };
    const timer = {};
    owner.timers.add(timer);
    const task = this.schedule(
      Math.ceil(delayMs),
      () => {
        owner.timers.delete(timer);
        fire();
      },
      owner,
    );
    return {
      cancel: () => {
        owner.timers.delete(timer);
        task.cancel();
      },
    };
  }

  #take(untilMs: number): Task | null {
    for (;;) {
      const [task] = this.#heap;
      if (task === undefined || task.atMs > untilMs) return null;
      this.#pop();
      if (task.isCanceled || task.owner?.isOver === true) continue;
      const frozenUntilMs = task.owner?.frozenUntilMs ?? 0;
      if (frozenUntilMs <= Math.max(task.atMs, this.#nowMs)) return task;
      // The same object, so that its timer can still be canceled.
      this.#push(Object.assign(task, { atMs: frozenUntilMs, tie: this.#random.fraction() }));
    }
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let index = heap.push(task) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(task, heap[parent])) break;
      heap[index] = heap[parent] as Task;
      index = parent;
    }
    heap[index] = task;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Task, heap[child])) child += 1;
      if (child >= heap.length || !isBefore(heap[child] as Task, last)) break;
      heap[index] = heap[child] as Task;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Task, b: Task | undefined): boolean {
  return b === undefined || a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie);
}

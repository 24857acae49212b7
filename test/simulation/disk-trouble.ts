import type { GroupRequest } from "./engine-adapter.ts";
import { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { GroupFate } from "./writer-host.ts";

export type DiskFault = "busy" | "full" | "full_after" | "slow" | "broken";

/** Operations whose failure only a loop meets. */
const loopOperations: ReadonlySet<string> = new Set(["claimDue", "deleteExpired", "listSources"]);

/** What was refused may come to light so long after. */
const afterwardsMs = 5000;

/** What is wrong with the disk, or with the way to a database that is shared, and what becomes of each group. */
export class DiskTrouble {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  #faults: { readonly fault: DiskFault; readonly untilMs: number }[] = [];

  constructor(seed: number, scheduler: Scheduler) {
    this.#scheduler = scheduler;
    this.#random = new Random(seed, "disk");
  }

  begin(fault: DiskFault, forMs: number): void {
    this.#faults.push({ fault, untilMs: this.#scheduler.nowMs + forMs });
  }

  end(...faults: readonly DiskFault[]): void {
    this.#faults = this.#faults.filter(({ fault }) => !faults.includes(fault));
  }

  heal(): void {
    this.#faults = this.#faults.map((one) => ({ ...one, untilMs: Math.min(one.untilMs, this.#scheduler.nowMs) }));
  }

  /** Some operation may have been refused a moment ago. */
  get isRefusing(): boolean {
    return this.#recent.some(({ fault }) => fault !== "slow");
  }

  get isQuiet(): boolean {
    return this.#recent.length === 0;
  }

  has(fault: DiskFault): boolean {
    return this.#faults.some((one) => one.fault === fault && one.untilMs > this.#scheduler.nowMs);
  }

  get #recent() {
    return this.#faults.filter(({ untilMs }) => untilMs > this.#scheduler.nowMs - afterwardsMs);
  }

  /** `isShared`: a server has the disk, which is neither full nor busy to those who ask. */
  fateOf(requests: readonly GroupRequest[], isShared: boolean): GroupFate {
    const random = this.#random;
    const isUnder = (fault: DiskFault, share: number) => this.has(fault) && random.chance(share);
    const isSlow = isUnder("slow", 0.5);
    const refusal = isShared
      ? "none"
      : isUnder("full_after", 1)
        ? "full_after"
        : isUnder("full", 1)
          ? "full"
          : isUnder("busy", 0.5)
            ? "busy"
            : "none";
    return {
      runAfterMs: isSlow ? random.int(50, 1500) : random.latencyMs(2, 30),
      answerAfterMs: isSlow ? random.int(10, 500) : random.latencyMs(2, 30),
      fault: refusal,
      brokenIndex: isUnder("broken", 0.5) ? requests.findIndex(({ name }) => loopOperations.has(name)) : -1,
    };
  }
}

import { describe, expect, test } from "vitest";
import { ComputingTurns } from "../../../src/engine/runtime/computing-turns.ts";

/** A clock whose turns the test takes one by one. */
class Turned {
  readonly #waiting: (() => void)[] = [];
  nowMs = 0;

  monotonicMs(): number {
    return this.nowMs;
  }

  nextTurn(run: () => void): void {
    this.#waiting.push(run);
  }

  /** Runs one turn of the loop, with the promises that it settles. */
  async turn(): Promise<void> {
    for (const run of this.#waiting.splice(0)) run();
    for (let n = 0; n < 5; n++) await Promise.resolve();
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }
}

const items = (count: number) => Array.from({ length: count }, (_, n) => n);

describe("slices of a large request", () => {
  test("have a turn of the loop each, with any number of requests under way", async () => {
    const clock = new Turned();
    const turns = new ComputingTurns(clock);
    let computed = 0;
    const mapped = Array.from({ length: 8 }, () => turns.map("acc_1", items(1000), (n) => (computed++, n)));
    const inTurns: number[] = [];
    for (let before = 0; !clock.isIdle; before = computed) {
      await clock.turn();
      inTurns.push(computed - before);
    }
    expect(inTurns).toEqual(items(320).map(() => 25));
    for (const results of await Promise.all(mapped)) expect(results).toEqual(items(1000));
  });

  test("end after 2 ms, with at least one item, and go on with the next", async () => {
    const clock = new Turned();
    const computed: number[] = [];
    const mapped = new ComputingTurns(clock).map("acc_1", items(30), (n, index) => {
      clock.nowMs += n < 10 ? 0.5 : 7;
      computed.push(n);
      return index;
    });
    const inTurns: number[] = [];
    for (let before = 0; !clock.isIdle; before = computed.length) {
      await clock.turn();
      inTurns.push(computed.length - before);
    }
    expect(inTurns).toEqual([4, 4, 3, ...items(19).map(() => 1)]);
    expect([computed, await mapped]).toEqual([items(30), items(30)]);
  });

  test("are taken by accounts in turn", async () => {
    const clock = new Turned();
    const turns = new ComputingTurns(clock);
    const order: string[] = [];
    const map = (account: string) => turns.map(account, items(75), (n) => n % 25 === 0 && order.push(account));
    const loud = Array.from({ length: 5 }, () => map("loud"));
    const quiet = map("quiet");
    while (!clock.isIdle) await clock.turn();
    await Promise.all([...loud, quiet]);
    expect(order.lastIndexOf("quiet")).toBeLessThanOrEqual(6);
  });

  test("and computations without items share the turns", async () => {
    const clock = new Turned();
    const turns = new ComputingTurns(clock);
    const order: string[] = [];
    const next = (account: string) => turns.next(account).then(() => order.push(account));
    const loud = Array.from({ length: 5 }, () => next("loud"));
    const sliced = turns.map("loud", items(200), (n) => n);
    const quiet = next("quiet");
    await clock.turn();
    expect(order).toEqual(["loud"]);
    await clock.turn();
    expect(order).toEqual(["loud", "quiet"]);
    while (!clock.isIdle) await clock.turn();
    await Promise.all([...loud, sliced, quiet]);
  });

  test("of one request that fails do not hold up the next", async () => {
    const clock = new Turned();
    const turns = new ComputingTurns(clock);
    const failing = turns.map("acc_1", items(200), () => {
      throw new Error("a bug");
    });
    const next = turns.map("acc_1", items(200), (n) => n);
    const outcome = expect(failing).rejects.toThrow("a bug");
    while (!clock.isIdle) await clock.turn();
    await outcome;
    expect(await next).toHaveLength(200);
  });
});

test("what fits into one slice is mapped at once", async () => {
  const clock = new Turned();
  expect(await new ComputingTurns(clock).map("acc_1", items(25), (n) => n + 1)).toEqual(items(25).map((n) => n + 1));
  expect(clock.isIdle).toBe(true);
});

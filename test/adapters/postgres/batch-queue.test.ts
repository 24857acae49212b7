import fc from "fast-check";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { BatchQueue } from "../../../src/adapters/postgres/connection/batch-queue.ts";
import type { BatchQueueOptions } from "../../../src/adapters/postgres/connection/batch-queue.ts";
import { StatementTimeoutError } from "../../../src/adapters/postgres/connection/failures.ts";
import { StoreOverloadedError, StoreUnavailableError } from "../../../src/domain/errors.ts";
import type { WatchDraft } from "../../../src/ports/stores/registration-store.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { StoreWorld, statusChange, testPolicy } from "../../harness/store-drafts.ts";

type Item = { readonly account: string; readonly rows: number; readonly name: string };
type Batch = { readonly names: readonly string[]; readonly commit: () => void; readonly fail: (error: Error) => void };

/** A queue whose batches the test ends. An item `account:name` costs one row, and `account:name*1000` a thousand. */
class ScriptedQueue {
  readonly queue: BatchQueue<Item, string>;
  /** Outcomes of the items, in the order of their answers. */
  readonly answers: string[] = [];
  readonly #batches: Batch[] = [];
  #onBatch: () => void = () => undefined;

  constructor(given: Partial<BatchQueueOptions<Item, string>> = {}) {
    this.queue = new BatchQueue<Item, string>({
      run: (items) => {
        const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
        const names = items.map(({ name }) => name);
        this.#batches.push({ names, commit: () => resolve(names), fail: reject });
        this.#onBatch();
        return promise;
      },
      flow: { flowOf: ({ account }) => account, costOf: ({ rows }) => rows, isRefusable: true },
      batchLimit: 1000,
      queueLimit: 64_000,
      ...given,
    });
  }

  push(...names: readonly string[]): void {
    for (const name of names) {
      const [account = "", rows = "1"] = name.split(/:.*\*|:.*/).filter(Boolean);
      this.queue.push({ account, rows: Number(rows), name }).then(
        (answer) => this.answers.push(answer),
        (error: Error) => this.answers.push(`${name} ${error.constructor.name}`),
      );
    }
  }

  /** Resolves with the next batch that runs. */
  async batch(): Promise<Batch> {
    for (;;) {
      const batch = this.#batches.shift();
      if (batch !== undefined) return batch;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onBatch = resolve;
      await promise;
    }
  }

  get hasBatch(): boolean {
    return this.#batches.length > 0;
  }
}

const times = (count: number, name: string) => Array.from({ length: count }, () => name);
const timeout = () => new StatementTimeoutError("canceling statement due to lock timeout");

describe("turns of accounts", () => {
  test.each(["b:one", "b:batch*1000"])("%s does not wait for eight batches of 1,000", async (other) => {
    const world = new ScriptedQueue();
    world.push(...times(8, "a:many*1000"));
    const first = await world.batch();
    world.push(other);
    const beside = await world.batch();
    expect(beside.names).toEqual([other]);
    first.commit();
    beside.commit();
    expect((await world.batch()).names).toEqual(["a:many*1000"]);
  });

  test("an item of the same turn runs beside the first", async () => {
    const world = new ScriptedQueue();
    world.push(...times(8, "a:many*1000"), "b:one");
    await world.batch();
    expect((await world.batch()).names).toEqual(["b:one"]);
  });

  test("beside two large batches none runs, and beside a small one none", async () => {
    const world = new ScriptedQueue();
    world.push("a:many*1000", "b:many*1000", "c:one");
    const [large, , small] = [await world.batch(), await world.batch(), world.batch()];
    world.push("d:one");
    expect(world.hasBatch).toBe(false);
    large.commit();
    expect((await small).names).toEqual(["c:one", "d:one"]);
    world.push("e:one");
    await new Promise(setImmediate);
    expect(world.hasBatch).toBe(false);
  });

  test("an account waits for its own large batch, also while its items are tried one by one", async () => {
    const world = new ScriptedQueue();
    world.push("a:1*900", "a:2*90");
    const large = await world.batch();
    world.push("a:3", "b:1");
    const beside = await world.batch();
    expect([large.names, beside.names]).toEqual([["a:1*900", "a:2*90"], ["b:1"]]);
    large.fail(new Error("one of them is faulty"));
    const first = await world.batch();
    beside.commit();
    first.commit();
    const second = await world.batch();
    expect([first.names, second.names, world.hasBatch]).toEqual([["a:1*900"], ["a:2*90"], false]);
    second.commit();
    (await world.batch()).commit();
    await world.queue.close();
    expect(world.answers).toEqual(["b:1", "a:1*900", "a:2*90", "a:3"]);
  });

  test("a large batch that timed out leaves its account isolated", async () => {
    const world = new ScriptedQueue();
    world.push("a:1*900", "a:2*90");
    (await world.batch()).fail(timeout());
    const alone = await world.batch();
    world.push("a:3");
    await new Promise(setImmediate);
    expect([alone.names, world.hasBatch]).toEqual([["a:1*900"], false]);
    alone.commit();
    (await world.batch()).commit();
    (await world.batch()).commit();
    await world.queue.close();
    expect(world.answers).toEqual(["a:1*900", "a:2*90", "a:3"]);
  });

  test("an item waits for one of its key, whichever account it belongs to", async () => {
    const world = new ScriptedQueue({ keyOf: ({ name }) => name.split(":")[1] ?? "" });
    world.push("a:1*1000");
    const large = await world.batch();
    world.push("b:1*1000");
    await new Promise(setImmediate);
    expect(world.hasBatch).toBe(false);
    large.commit();
    expect((await world.batch()).names).toEqual(["b:1*1000"]);
  });

  test("items of one account keep their order", async () => {
    const world = new ScriptedQueue({ batchLimit: 220 });
    world.push("a:1*200", "a:2*200", "a:3", "b:1");
    (await world.batch()).commit();
    (await world.batch()).commit();
    await world.queue.close();
    expect(world.answers).toEqual(["a:1*200", "b:1", "a:2*200", "a:3"]);
  });

  test("with any failures and timeouts an account has one batch at a time, its items are settled in their order, and none is left", async () => {
    const item = fc.record({
      account: fc.constantFrom("a", "b", "c"),
      rows: fc.constantFrom(1, 200, 400, 1000),
      fate: fc.constantFrom("fine", "fine", "fine", "faulty", "slow"),
      pauses: fc.nat(3),
      lasts: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 20 }), async (drawn) => {
        const items = drawn.map((one, name) => ({ ...one, name }));
        const [running, settled] = [new Map<string, number>(), new Map<string, number[]>()];
        let overlaps = 0;
        const queue = new BatchQueue<(typeof items)[number], number>({
          run: async (batch) => {
            const accounts = new Set(batch.map(({ account }) => account));
            for (const account of accounts) running.set(account, (running.get(account) ?? 0) + 1);
            overlaps += [...accounts].filter((account) => running.get(account) !== 1).length;
            for (let turns = batch[0]?.lasts ?? 0; turns >= 0; turns--) await new Promise(setImmediate);
            for (const account of accounts) running.set(account, (running.get(account) ?? 0) - 1);
            if (batch.some(({ fate }) => fate === "slow")) throw timeout();
            if (batch.some(({ fate }) => fate === "faulty")) throw new Error("one of them is faulty");
            return batch.map(({ name }) => name);
          },
          flow: { flowOf: ({ account }) => account, costOf: ({ rows }) => rows, isRefusable: false },
          batchLimit: 1000,
          queueLimit: 64_000,
        });
        for (const one of items) {
          const note = () => settled.set(one.account, [...(settled.get(one.account) ?? []), one.name]);
          queue.push(one).then(note, note);
          for (let turns = one.pauses; turns > 0; turns--) await new Promise(setImmediate);
        }
        await queue.close();
        for (const [account, names] of settled)
          expect(names).toEqual(items.filter((one) => one.account === account).map(({ name }) => name));
        expect([[...settled.values()].flat().length, overlaps]).toEqual([items.length, 0]);
      }),
    );
  });

  test("a batch has at most one item of a key", async () => {
    const world = new ScriptedQueue({ keyOf: ({ name }) => name });
    world.push("a:1", "b:1", "a:1", "b:2");
    const first = await world.batch();
    first.commit();
    expect([first.names, (await world.batch()).names]).toEqual([
      ["a:1", "b:1"],
      ["a:1", "b:2"],
    ]);
  });

  test("an account pays for what was written for it in the batch of another", async () => {
    const flow = { flowOf: ({ account }: Item) => account, costOf: ({ rows }: Item) => rows, isRefusable: false };
    const world = new ScriptedQueue({
      flow: { ...flow, chargeWritten: (name, charge) => (name === "a:1*200" ? charge("b", 2) : undefined) },
      batchLimit: 200,
    });
    world.push("a:1*200");
    const first = await world.batch();
    world.push("b:1*200", "c:1*200");
    first.commit();
    expect((await world.batch()).names).toEqual(["c:1*200"]);
  });

  test("an account that uses its part is refused, another is not", async () => {
    const world = new ScriptedQueue({ queueLimit: 4000 });
    world.push(...times(3, "a:many*1000"), "b:one", "b:many*500");
    const answered = world.queue.close();
    for (let batches = 0; batches < 3; batches++) (await world.batch()).commit();
    await answered;
    expect(world.answers.toSorted()).toEqual([
      "a:many*1000",
      "a:many*1000",
      `a:many*1000 ${StoreOverloadedError.name}`,
      "b:many*500",
      "b:one",
    ]);
  });
});

describe("a batch that timed out", () => {
  test("is tried alone, and fails only the item that times out again", async () => {
    const world = new ScriptedQueue();
    world.push("a:stuck", "b:1", "b:2", "c:1");
    (await world.batch()).fail(timeout());
    const alone = [await world.batch(), await world.batch(), await world.batch()];
    expect(alone.map(({ names }) => names).toSorted()).toEqual([["a:stuck"], ["b:1"], ["c:1"]]);
    for (const { names, commit } of alone) if (names[0] !== "a:stuck") commit();
    (await world.batch()).commit();
    expect(world.hasBatch).toBe(false);
    const closed = world.queue.close();
    alone.find(({ names }) => names[0] === "a:stuck")?.fail(timeout());
    await closed;
    expect(world.answers.toSorted()).toEqual(["a:stuck StatementTimeoutError", "b:1", "b:2", "c:1"]);
  });

  test("does not hold up other accounts, and keeps the order of its own", async () => {
    const world = new ScriptedQueue();
    world.push("a:stuck", "b:1");
    (await world.batch()).fail(timeout());
    const [stuck, neighbour] = [await world.batch(), await world.batch()].toSorted((x, y) => (String(x.names) < String(y.names) ? -1 : 1));
    world.push("a:later", "a:last", "c:1");
    const beside = await world.batch();
    expect(beside.names).toEqual(["c:1"]);
    beside.commit();
    neighbour?.commit();
    world.push("b:2");
    const next = await world.batch();
    expect(next.names).toEqual(["b:2"]);
    next.commit();
    // The account stays isolated until one of its items is answered.
    stuck?.fail(timeout());
    const later = await world.batch();
    expect(later.names).toEqual(["a:later"]);
    world.push("c:2");
    (await world.batch()).commit();
    later.commit();
    const last = await world.batch();
    expect(last.names).toEqual(["a:last"]);
    last.commit();
    await world.queue.close();
    expect(world.answers).toEqual(["c:1", "b:1", "b:2", "a:stuck StatementTimeoutError", "c:2", "a:later", "a:last"]);
  });

  test("leaves connections to the others: four items run alone at a time", async () => {
    const world = new ScriptedQueue();
    const names = Array.from({ length: 10 }, (_, n) => `${n}:x`);
    world.push(...names);
    (await world.batch()).fail(timeout());
    const running = [await world.batch(), await world.batch(), await world.batch(), await world.batch()];
    expect(world.hasBatch).toBe(false);
    for (const { commit } of running) commit();
    for (let n = 0; n < 6; n++) (await world.batch()).commit();
    await world.queue.close();
    expect(world.answers.toSorted()).toEqual(names);
  });

  test.each([new StoreUnavailableError("connection refused"), new StoreOverloadedError()])("is not tried again after %s", async (error) => {
    const world = new ScriptedQueue();
    world.push("a:1", "b:1");
    (await world.batch()).fail(error);
    await world.queue.close();
    expect(world.answers).toEqual([`a:1 ${error.name}`, `b:1 ${error.name}`]);
  });
});

async function openWorld() {
  const database = await TestPostgres.create();
  const instance = await database.openAlone(testPolicy);
  const outside = new pg.Client({ connectionString: database.url });
  await outside.connect();
  onTestFinished(async () => {
    await outside.end();
    await instance.store.close();
    await database.dispose();
  });
  return { world: new StoreWorld(instance.store), outside };
}

describe("with the real store", () => {
  test("another account's registration is answered before the second of eight batches of 1,000", async () => {
    const { world } = await openWorld();
    const { id: accountId } = await world.account("quiet");
    const batches: (readonly WatchDraft[])[] = [];
    for (let batch = 0; batch < 8; batch++) {
      const drafts: WatchDraft[] = [];
      for (let n = 0; n < 1000; n++) drafts.push(await world.watchDraft(`OUT-${batch}-${n}`));
      batches.push(drafts);
    }
    const single = await world.watchDraft("OUT-quiet", { accountId });
    const order: string[] = [];
    const registered = batches.map((batch, n) => world.store.registerWatches(batch).then(() => order.push(`batch ${n}`)));
    await world.store.registerWatches([single]).then(() => order.push("single"));
    expect(order.length).toBeLessThanOrEqual(2);
    await Promise.all(registered);
    expect(order.filter((name) => name !== "single")).toEqual(batches.map((_, n) => `batch ${n}`));
  });

  test("a commit that waits for a lock fails alone, and its neighbours of the same batch are committed", async () => {
    const { world, outside } = await openWorld();
    const { id: accountId } = await world.account("quiet");
    await world.watch("OUT-stuck");
    await world.watch("OUT-same-account");
    await world.watch("OUT-quiet", { accountId });
    await outside.query("begin; select 1 from calls where call_sid = 'OUT-stuck' for update");
    const outcomes = await Promise.allSettled(
      ["OUT-same-account", "OUT-stuck", "OUT-quiet"].map((callSid) => world.commit(callSid, [statusChange("queued")])),
    );
    await outside.query("rollback");
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((outcomes[1] as PromiseRejectedResult).reason).toBeInstanceOf(StoreUnavailableError);
    await world.see("OUT-stuck", "queued");
  });
});

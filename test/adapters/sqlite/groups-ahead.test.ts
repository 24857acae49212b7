import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { Database } from "../../../src/adapters/sqlite/connection/database.ts";
import { operationNumbers } from "../../../src/adapters/sqlite/operations.ts";
import type { OperationNumber } from "../../../src/adapters/sqlite/operations.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { Request } from "../../../src/adapters/sqlite/writer-thread/group.ts";
import { serveWriter } from "../../../src/adapters/sqlite/writer-thread/writer.ts";
import type { FromWorker, ToWorker } from "../../../src/adapters/sqlite/writer-thread/writer.ts";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import type { CallCommit } from "../../../src/ports/stores/call-store.ts";
import { claimWith, StoreWorld, startMs, testPolicy } from "../../harness/store-drafts.ts";
import { commitCall, drafts, record, register, ScriptedWriter, times } from "./scripted-writer.ts";

const sizes = (writer: ScriptedWriter) => writer.groups.map((group) => group.length);
const portion = ({ queue }: ScriptedWriter) =>
  queue.run(operationNumbers.commitPortion, [{ accountId: "b" } as unknown as CallCommit & { readonly limit: number }]);

/** Returns a writer whose first group runs, with one operation of account a. */
function withRunningGroup(): ScriptedWriter {
  const writer = new ScriptedWriter();
  commitCall(writer, "a").catch(() => undefined);
  writer.endTurn();
  return writer;
}

describe("beside a small group", () => {
  test("one is sent ahead when 24 operations wait, with all that wait at the end of the turn", () => {
    const writer = withRunningGroup();
    times(23, () => commitCall(writer, "a"));
    writer.endTurn();
    expect(sizes(writer)).toEqual([1]);
    times(7, () => commitCall(writer, "b"));
    writer.endTurn();
    expect(sizes(writer)).toEqual([1, 30]);
  });

  test("records are sent ahead too, although they linger", () => {
    const writer = withRunningGroup();
    times(24, () => record(writer, "a"));
    writer.endTurn();
    expect(sizes(writer)).toEqual([1, 24]);
  });

  test("no second one is sent ahead", () => {
    const writer = withRunningGroup();
    times(24, () => commitCall(writer, "a"));
    writer.endTurn();
    times(50, () => commitCall(writer, "a"));
    writer.endTurn();
    expect(sizes(writer)).toEqual([1, 24]);
    writer.commit();
    expect(sizes(writer)).toEqual([1, 24, 50]);
    writer.commit();
    expect(writer.sent).toHaveLength(1);
  });

  test("what waits is sent ahead up to a cost of 200", () => {
    const writer = withRunningGroup();
    times(23, () => commitCall(writer, "a"));
    void register(writer, "b", 177);
    writer.endTurn();
    expect(sizes(writer)).toEqual([1, 24]);
  });

  test.each([
    ["costs more than 200", (writer: ScriptedWriter) => register(writer, "b", 178)],
    ["has a batch of 1,000", (writer: ScriptedWriter) => register(writer, "b", 1000)],
    ["has a portion of a transition", portion],
    ["has a step of the wall clock", ({ queue }: ScriptedWriter) => queue.run(operationNumbers.moveSchedule, [1])],
  ])("none is sent ahead if what waits %s", (_, run) => {
    const writer = withRunningGroup();
    times(12, () => commitCall(writer, "a"));
    void run(writer);
    times(24, () => commitCall(writer, "a"));
    writer.endTurn();
    expect(sizes(writer)).toEqual([1]);
    writer.commit();
    expect(writer.groups.length).toBe(2);
  });
});

test.each([
  ["costs more than 200", (writer: ScriptedWriter) => register(writer, "a", 201)],
  ["is a batch of 1,000", (writer: ScriptedWriter) => register(writer, "a", 1000)],
  ["is a portion of a transition", portion],
])("none is sent ahead of the end of a group that %s", (_, run) => {
  const writer = new ScriptedWriter();
  void run(writer);
  writer.endTurn();
  times(50, () => commitCall(writer, "b"));
  writer.endTurn();
  expect(sizes(writer)).toEqual([1]);
  writer.commit();
  expect(sizes(writer)).toEqual([1, 50]);
});

test("answers are those of the group that was sent first", async () => {
  const writer = new ScriptedWriter({ aheadFrom: 1 });
  const order: unknown[] = [];
  const run = (accountId: string) => void commitCall(writer, accountId).then((value) => order.push([accountId, value]));
  run("a");
  writer.endTurn();
  run("b");
  writer.endTurn();
  run("c");
  for (const value of ["first", "second", "third"]) {
    writer.commit(() => value);
    writer.endTurn();
  }
  await new Promise(setImmediate);
  expect(order).toEqual([
    ["a", "first"],
    ["b", "second"],
    ["c", "third"],
  ]);
});

test("a database that fails in the first group rejects it, the one ahead and all that waits", async () => {
  const writer = withRunningGroup();
  const outcomes = Promise.allSettled([...times(24, () => commitCall(writer, "a")), record(writer, "b")]);
  writer.endTurn();
  const waiting = Promise.allSettled([commitCall(writer, "c")]);
  writer.reply({ kind: "fatal", message: "disk I/O error" });
  for (const { status, reason } of [...(await outcomes), ...(await waiting)] as readonly PromiseRejectedResult[])
    expect([status, reason instanceof StoreUnavailableError]).toEqual(["rejected", true]);
  expect(sizes(writer)).toEqual([1, 25]);
  expect(await writer.queue.fatal).toMatchObject({ code: "store-unavailable" });
});

test("a close finishes the group that runs, the one ahead and what waits", async () => {
  const writer = withRunningGroup();
  const accepted = times(24, () => commitCall(writer, "a"));
  writer.endTurn();
  accepted.push(commitCall(writer, "b"));
  const closed = writer.queue.close();
  expect(sizes(writer)).toEqual([1, 24]);
  times(2, () => writer.commit());
  expect(writer.others).toEqual([]);
  writer.commit();
  await Promise.all([...accepted, closed]);
  expect(sizes(writer)).toEqual([1, 24, 1]);
  expect(writer.others).toEqual([{ kind: "close" }]);
});

test("drafts are those of the group that runs, and then those of the one that was ahead", () => {
  const writer = new ScriptedWriter({ aheadFrom: 1 });
  const runClaimed = (name: string) => {
    const claim = claimWith({ id: name, accountId: "a", nowMs: startMs, expiresAtMs: startMs + 1 });
    const draft = { sealed: new TextEncoder().encode(name), deliveryId: null, watchIds: [] };
    void writer.queue.runClaimed(operationNumbers.registerWatches, drafts("a", 1), claim, () => draft);
    writer.endTurn();
    return { kind: "drafted", drafted: [{ kind: "draft", draft }] };
  };
  const expected = [runClaimed("first"), runClaimed("second")];
  expect(writer.sent).toHaveLength(2);
  for (const [group] of expected.entries()) {
    writer.reply({ kind: "draft", results: [{ index: 0, value: [] }] });
    expect(writer.others).toEqual(expected.slice(0, group + 1));
    writer.commit(() => ({ kind: "ran" }));
  }
});

/** Cost of an operation of the property; 0 is a step of the wall clock. */
type Drawn = { readonly account: string; readonly cost: number; readonly lingers: boolean };

test("with any requests and failures at most two groups are out, accounts keep their order and each operation is settled once", async () => {
  const operation = fc.record({
    account: fc.constantFrom("a", "b", "c"),
    cost: fc.oneof({ weight: 40, arbitrary: fc.constant(1) }, fc.constantFrom(20, 150, 300, 1000, 0)),
    lingers: fc.boolean(),
  });
  const event = fc.oneof(
    { weight: 40, arbitrary: fc.array(operation, { minLength: 1, maxLength: 12, size: "max" }) },
    { weight: 30, arbitrary: fc.constant("turn" as const) },
    { weight: 30, arbitrary: fc.constantFrom("commit" as const, "commit" as const, "refuse" as const) },
    { weight: 1, arbitrary: fc.constantFrom("close" as const, "fail" as const) },
  );
  let pairs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 40, size: "max" }), fc.constantFrom(1, 4, 24), async (events, aheadFrom) => {
      const writer = new ScriptedWriter({ aheadFrom, queueLimit: 10 ** 9 });
      const requested: Drawn[] = [];
      /** Places of the operations in `requested`, by their argument. */
      const places = new Map<unknown, number>();
      const placesOf = (requests: readonly Request[]) => requests.map(({ args }) => places.get(args[0]) ?? -1);
      const costOf = (requests: readonly Request[]) => placesOf(requests).reduce((sum, place) => sum + (requested[place]?.cost || 1000), 0);
      const ran: number[] = [];
      const settled: number[] = [];
      let closed: Promise<void> | null = null;
      let hasFailed = false;
      const request = (drawn: Drawn) => {
        const place = requested.push(drawn) - 1;
        const { account: accountId, cost, lingers } = drawn;
        const argument = cost === 0 ? place + 0.5 : cost > 1 ? drafts(accountId, cost) : { accountId, changes: [] };
        places.set(argument, place);
        const number = cost === 0 ? "moveSchedule" : cost > 1 ? "registerWatches" : lingers ? "recordAttempt" : "commitCall";
        const note = () => settled.push(place);
        const run = writer.queue.run(operationNumbers[number] as OperationNumber, [argument], lingers && cost === 1 ? { lingerMs: 5 } : {});
        run.then(note, note);
      };
      const answer = (isRefused: boolean) => {
        const [group] = writer.sent;
        if (group === undefined || hasFailed) return;
        ran.push(...placesOf(group));
        if (isRefused) {
          const refused = { ok: false, code: "store-unavailable", message: "busy" } as const;
          writer.reply({ kind: "answers", answers: group.map(() => refused), commitMs: null });
        } else writer.commit();
      };
      for (const event of events) {
        if (typeof event !== "string") for (const drawn of event) request(drawn);
        else if (event === "turn") writer.endTurn();
        else if (event === "close") closed ??= hasFailed ? null : writer.queue.close();
        else if (event !== "fail") answer(event === "refuse");
        else if (writer.sent.length > 0) {
          hasFailed = true;
          writer.reply({ kind: "fatal", message: "disk I/O error" });
        }
        expect(writer.sent.length).toBeLessThanOrEqual(2);
        if (writer.sent.length === 2) {
          pairs += 1;
          for (const group of writer.sent) expect(costOf(group)).toBeLessThanOrEqual(200);
        }
      }
      const sentBefore = writer.groups.length;
      writer.endTurn();
      if (hasFailed) expect(writer.groups.length).toBe(sentBefore);
      else {
        closed ??= writer.queue.close();
        while (writer.sent.length > 0) answer(false);
        await closed;
      }
      await new Promise(setImmediate);
      expect(settled.toSorted((a, b) => a - b)).toEqual([...requested.keys()]);
      for (const account of ["a", "b", "c"]) {
        const own = ran.filter((place) => requested[place]?.account === account && requested[place].cost > 0);
        expect(own).toEqual(own.toSorted((a, b) => a - b));
      }
      for (const [position, place] of ran.entries())
        if (requested[place]?.cost === 0) expect(ran.slice(0, position).every((before) => before < place)).toBe(true);
    }),
    { numRuns: 300 },
  );
  expect(pairs).toBeGreaterThan(0);
});

const write = (key: string): Request => ({ operation: operationNumbers.setServerKeys, args: [[key]] });
const claimed = (key: string): Request => ({
  ...write(key),
  claim: claimWith({ id: key, accountId: "acc_1", nowMs: startMs, expiresAtMs: startMs + 1 }),
});
const drafted: ToWorker = { kind: "drafted", drafted: [{ kind: "draft", draft: null }] };

describe("the writer thread", () => {
  /** Notes where transactions begin and end, and fails commits if the test wants it. */
  class FailingDatabase extends Database {
    readonly log: string[] = [];
    failsCommits = false;

    override run(sql: string, ...values: Parameters<Database["run"]> extends [string, ...infer Rest] ? Rest : never): number {
      if (sql.startsWith("begin") || sql === "commit") this.log.push(sql);
      if (sql === "commit" && this.failsCommits) throw Object.assign(new Error("disk full"), { code: "ERR_SQLITE_ERROR", errcode: 13 });
      return super.run(sql, ...values);
    }
  }

  function startWriter() {
    const messages: FromWorker[] = [];
    const toWriter = Promise.withResolvers<(message: ToWorker) => void>();
    const opened = Promise.withResolvers<FailingDatabase>();
    serveWriter(
      {
        postMessage: (message) => messages.push(message),
        on: (_event, listener) => toWriter.resolve(listener),
        close: () => undefined,
        packValue: (_request, value) => value,
      },
      { path: ":memory:", policy: testPolicy, role: "server", nowMs: startMs },
      (connection, policy) => {
        const database = new FailingDatabase(connection, policy);
        opened.resolve(database);
        return database;
      },
    );
    return { messages, opened: opened.promise, toWriter: toWriter.promise };
  }

  test("begins a group after the answers to the one before, also while drafts are awaited", async () => {
    const writer = startWriter();
    const [database, toWriter] = [await writer.opened, await writer.toWriter];
    database.log.length = 0;
    const seen = async () => {
      await new Promise(setImmediate);
      return [database.log.splice(0), writer.messages.splice(0).map(({ kind }) => kind)];
    };
    expect(await seen()).toEqual([[], ["ready"]]);
    for (const request of [claimed("first"), claimed("second"), write("third")]) toWriter({ kind: "group", requests: [request] });
    expect(await seen()).toEqual([["begin immediate"], ["draft"]]);
    toWriter(drafted);
    expect(await seen()).toEqual([
      ["commit", "begin immediate"],
      ["answers", "draft"],
    ]);
    toWriter(drafted);
    expect(await seen()).toEqual([
      ["commit", "begin immediate", "commit"],
      ["answers", "answers"],
    ]);
  });

  test("runs nothing after a group whose commit failed", async () => {
    const writer = startWriter();
    const [database, toWriter] = [await writer.opened, await writer.toWriter];
    database.log.length = 0;
    database.failsCommits = true;
    for (const key of ["first", "second"]) toWriter({ kind: "group", requests: [write(key)] });
    await new Promise(setImmediate);
    toWriter({ kind: "group", requests: [write("third")] });
    await new Promise(setImmediate);
    expect(database.log).toEqual(["begin immediate", "commit"]);
    expect(writer.messages.map(({ kind }) => kind)).toEqual(["ready", "fatal"]);
  });

  test("finds a key that the group before has used, and answers a second use in the same group as running", async () => {
    const world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy, aheadFrom: 1 }));
    onTestFinished(() => world.store.close());
    const { id: accountId } = await world.account();
    const watches = await Promise.all(times(4, (n) => world.watchDraft(`OUT-${n}`)));
    const key = claimWith({ id: "key", accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs + 1 });
    const run = (watch: (typeof watches)[number]) =>
      world.store.underKey(key).registerWatches([watch], () => ({ sealed: new Uint8Array([1]), deliveryId: null, watchIds: [] }));
    const runs = watches.slice(0, 2).map(run);
    await new Promise(setImmediate);
    runs.push(...watches.slice(2).map(run));
    expect((await Promise.all(runs)).map(({ kind }) => kind)).toEqual(["ran", "running", "stored", "stored"]);
  });
});

import { afterEach, describe, expect, test } from "vitest";
import { operationNumbers } from "../../../src/adapters/sqlite/operations.ts";
import type { OperationNumber, OperationPort } from "../../../src/adapters/sqlite/operations.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { StoreOverloadedError } from "../../../src/domain/errors.ts";
import type { CallCommitResult } from "../../../src/ports/stores/call-store.ts";
import type { WatchDraft } from "../../../src/ports/stores/registration-store.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { claim, commitCall, drafts, operationNames, record, register, ScriptedWriter, times } from "./scripted-writer.ts";

const notice = (accountId: string) => ({ accountId, watchId: null, sequence: null, eventType: "call.queued" });

describe("beside eight batches of 1,000 side by side", () => {
  test.each([
    ["a registration of another account", (writer: ScriptedWriter) => register(writer, "b", 1), "registerWatches of b"],
    ["a batch of another account", (writer: ScriptedWriter) => register(writer, "b", 1000), "registerWatches of b"],
    ["a commit of another account's call", (writer: ScriptedWriter) => commitCall(writer, "b"), "commitCall of b"],
    ["a record of another account's attempt", (writer: ScriptedWriter) => record(writer, "b"), "recordAttempt of b"],
    ["a claim of due deliveries", claim, "claimDue"],
    ["a read of another account", ({ queue }: ScriptedWriter) => queue.run(operationNumbers.getWatch, ["b", "wch"]), "getWatch"],
  ])("%s is in the next group", (_, run, described) => {
    const writer = new ScriptedWriter();
    times(8, () => register(writer, "a", 1000));
    writer.endTurn();
    void run(writer);
    writer.commit();
    expect(writer.groups).toEqual([["registerWatches of a"], [described]]);
  });

  test("an operation of the same turn is in the second group", () => {
    const writer = new ScriptedWriter();
    times(8, () => register(writer, "a", 1000));
    void register(writer, "b", 1);
    writer.endTurn();
    writer.commit();
    expect(writer.groups.slice(0, 2)).toEqual([["registerWatches of a"], ["registerWatches of b"]]);
  });

  test("ten accounts that do the same take turns", () => {
    const writer = new ScriptedWriter();
    const accounts = times(10, () => undefined).map((_, n) => `account ${n}`);
    for (const account of accounts) times(4, () => register(writer, account, 1000));
    writer.endTurn();
    times(9, () => writer.commit());
    expect(writer.groups.flat().toSorted()).toEqual(accounts.map((account) => `registerWatches of ${account}`));
  });
});

describe("turns", () => {
  test("keep the order of one account, across kinds of operations", () => {
    const writer = new ScriptedWriter();
    void register(writer, "a", 900);
    void commitCall(writer, "b");
    void register(writer, "a", 400);
    void record(writer, "a");
    void commitCall(writer, "a");
    writer.endTurn();
    writer.commit();
    expect(writer.groups).toEqual([
      ["registerWatches of a", "commitCall of b"],
      ["registerWatches of a", "recordAttempt of a", "commitCall of a"],
    ]);
  });

  test("of a large operation begin a group: what is small does not wait for it, and it has no other large one beside it", () => {
    const writer = new ScriptedWriter();
    void register(writer, "a", 1);
    void register(writer, "b", 201);
    void register(writer, "c", 201);
    void register(writer, "d", 1);
    writer.endTurn();
    for (let groups = 0; groups < 3; groups++) writer.commit();
    expect(writer.groups).toEqual([["registerWatches of a"], ["registerWatches of b"], ["registerWatches of c", "registerWatches of d"]]);
  });

  test("weigh bytes as well as rows", () => {
    const writer = new ScriptedWriter();
    const large = { note: "x".repeat(8 * 4096) };
    times(4, () => writer.queue.run(operationNumbers.registerWatches, [drafts("a", 100, large)]));
    writer.endTurn();
    expect(writer.groups).toEqual([["registerWatches of a"]]);
  });

  test("are charged with the events and deliveries of a commit, to the accounts that they are for", () => {
    const writer = new ScriptedWriter();
    times(1000, () => commitCall(writer, "a"));
    writer.endTurn();
    times(4, () => register(writer, "b", 200));
    times(4, () => register(writer, "c", 200));
    times(4, () => register(writer, "d", 200));
    const fanOut = { kind: "committed", call: null, notices: [...times(500, () => notice("b")), notice("c")], jobs: [] };
    let isFirst = true;
    writer.commit((): CallCommitResult => {
      const result = isFirst ? fanOut : { ...fanOut, notices: [] };
      isFirst = false;
      return result as CallCommitResult;
    });
    const [ofC, ofD] = ["registerWatches of c", "registerWatches of d"];
    expect(writer.groups[1]).toEqual([ofD, ofC, ofD, ofC, ofD]);
  });

  test("end at a step of the wall clock: what was requested before it runs before it", () => {
    const writer = new ScriptedWriter();
    times(3, () => register(writer, "a", 1000));
    void writer.queue.run(operationNumbers.moveSchedule, [1000]);
    void commitCall(writer, "b");
    void writer.queue.run(operationNumbers.moveSchedule, [1]);
    writer.endTurn();
    times(6, () => writer.commit());
    expect(writer.groups).toEqual([...times(3, () => ["registerWatches of a"]), ["moveSchedule"], ["commitCall of b"], ["moveSchedule"]]);
  });
});

describe("records, which linger,", () => {
  test("start a group at once when 24 wait", () => {
    const writer = new ScriptedWriter();
    times(23, () => record(writer, "a"));
    writer.endTurn();
    expect(writer.groups).toEqual([]);
    times(2, () => record(writer, "b"));
    writer.endTurn();
    expect(writer.groups.map((group) => group.length)).toEqual([25]);
  });

  test("follow a group at once when 24 wait at its end, and linger when fewer do", () => {
    const writer = new ScriptedWriter();
    void commitCall(writer, "a");
    writer.endTurn();
    times(24, () => record(writer, "a"));
    writer.commit();
    expect(writer.groups.map((group) => group.length)).toEqual([1, 24]);
    times(23, () => record(writer, "a"));
    writer.commit();
    writer.endTurn();
    expect(writer.groups).toHaveLength(2);
  });
});

describe("the part of an account", () => {
  test("is half of the queue if it is alone; beyond it its requests are refused, and other accounts' are not", async () => {
    const writer = new ScriptedWriter({ queueLimit: 8000 });
    const accepted = times(4, () => register(writer, "a", 1000));
    await expect(register(writer, "a", 1)).rejects.toThrow(StoreOverloadedError);
    const other = register(writer, "b", 1000);
    writer.endTurn();
    times(5, () => writer.commit());
    await Promise.all([...accepted, other]);
    const again = register(writer, "a", 1000);
    writer.endTurn();
    writer.commit();
    await again;
  });

  test("does not bound commits, records and claims, which the engine bounds", async () => {
    const writer = new ScriptedWriter({ queueLimit: 10 });
    const own = times(100, () => [commitCall(writer, "a"), record(writer, "a"), claim(writer)]).flat();
    writer.endTurn();
    for (let groups = 0; groups < writer.groups.length; groups++) writer.commit();
    await Promise.all(own as Promise<unknown>[]);
  });
});

test("every operation of the port has a flow and a whole cost", () => {
  const writer = new ScriptedWriter();
  const request = { accountId: "a", limit: 7, changes: [], endpointIds: [] };
  const argumentsOf: Partial<Record<keyof OperationPort, readonly unknown[]>> = {
    registerWatches: [drafts("a", 3)],
    releaseDeliveries: [[], 1],
    releaseCalls: [[], "stop"],
    replaceSealed: [[]],
    moveSchedule: [1],
  };
  for (const name of operationNames as (keyof OperationPort)[])
    void writer.queue.run(operationNumbers[name] as OperationNumber, argumentsOf[name] ?? [request]);
  writer.endTurn();
  for (let groups = 0; groups < writer.groups.length; groups++) writer.commit();
  expect(writer.groups.flat()).toHaveLength(operationNames.length);
});

describe("with the real writer", () => {
  const open: StoreWorld[] = [];
  afterEach(async () => {
    for (const world of open.splice(0)) await world.store.close();
  });

  test("another account's registration beside eight batches of 1,000 side by side is in the second group", async () => {
    const commits: number[] = [];
    const onCommitted = (durationMs: number) => commits.push(durationMs);
    const world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy, onCommitted }));
    open.push(world);
    const { id: accountId } = await world.account("quiet");
    const batches: (readonly WatchDraft[])[] = [];
    for (let batch = 0; batch < 8; batch++) {
      const drafts: WatchDraft[] = [];
      for (let n = 0; n < 1000; n++) drafts.push(await world.watchDraft(`OUT-${batch}-${n}`));
      batches.push(drafts);
    }
    const single = await world.watchDraft("OUT-quiet", { accountId });
    commits.length = 0;
    const registered = batches.map((batch) => world.store.registerWatches(batch));
    expect(await world.store.registerWatches([single])).toMatchObject([{ kind: "created" }]);
    expect(commits.length).toBeLessThanOrEqual(2);
    for (const results of await Promise.all(registered)) expect(results.every(({ kind }) => kind === "created")).toBe(true);
    expect(commits).toHaveLength(9);
  });
});

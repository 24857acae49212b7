import { afterEach, describe, expect, it } from "vitest";
import { bindOperations, isRead, isReadersRead, operationNumbers } from "../../../src/adapters/sqlite/operations.ts";
import type { OperationNumber, OperationPort } from "../../../src/adapters/sqlite/operations.ts";
import { GroupQueue } from "../../../src/adapters/sqlite/writer-thread/group-queue.ts";
import type { Request } from "../../../src/adapters/sqlite/writer-thread/group.ts";
import { WaitingOperations } from "../../../src/adapters/sqlite/writer-thread/waiting-operations.ts";
import { testPolicy } from "../../harness/store-drafts.ts";

const open: GroupQueue[] = [];
afterEach(async () => {
  for (const queue of open.splice(0)) await queue.close();
});

describe("operations of the writer thread", () => {
  it("have one number each, which the bound function passes on", async () => {
    const names = Object.keys(operationNumbers) as (keyof OperationPort)[];
    expect(names.map((name) => operationNumbers[name])).toEqual(names.map((_, place) => place));
    const passed: unknown[] = [];
    const functions = bindOperations((operation, args) => {
      passed.push([operation, ...args]);
      return Promise.reject(new Error("not run"));
    });
    expect(Object.keys(functions)).toEqual(names);
    await expect(functions.getWatch("acc_1", "wch_1")).rejects.toThrow("not run");
    await expect(functions.setSource({} as Parameters<OperationPort["setSource"]>[0], 7)).rejects.toThrow("not run");
    expect(passed).toEqual([
      [operationNumbers.getWatch, "acc_1", "wch_1"],
      [operationNumbers.setSource, {}, 7],
    ]);
  });

  it("are checked by the compiler against the functions of the port", () => {
    const numberOfRead: OperationNumber<
      readonly [string, string],
      Awaited<ReturnType<OperationPort["getWatch"]>>
    > = operationNumbers.getWatch;
    // @ts-expect-error The number of one operation does not have the type of another.
    const other: typeof operationNumbers.getWatch = operationNumbers.recordAttempt;
    // @ts-expect-error Every function of the port has a number.
    const complete: Record<keyof OperationPort, OperationNumber> = { getWatch: numberOfRead };
    expect([other, complete]).toHaveLength(2);
  });

  it("are reads where they write nothing", () => {
    const written: readonly (keyof OperationPort)[] = ["registerWatches", "claimDue", "recordAttempt", "checkWritable", "ensureHashKey"];
    const read: readonly (keyof OperationPort)[] = ["getWatch", "readFeed", "listSealed", "findStoredAnswer", "loadWatchedCalls"];
    expect(written.filter((name) => isRead(operationNumbers[name]))).toEqual([]);
    expect(read.filter((name) => !isRead(operationNumbers[name]))).toEqual([]);
  });

  it("run in the reader if they show something, in the writer if a request or the engine depends on them", () => {
    const names = Object.keys(operationNumbers) as (keyof OperationPort)[];
    const ofReader = names.filter((name) => isReadersRead(operationNumbers[name]));
    expect(ofReader.filter((name) => !isRead(operationNumbers[name]))).toEqual([]);
    expect(ofReader).toEqual(expect.arrayContaining(["getWatch", "listWatches", "readFeed", "readStats"]));
    const ofWriter: readonly (keyof OperationPort)[] = ["findAccountByKey", "findStoredAnswer", "loadWatchedCalls", "checkWritable"];
    expect(ofWriter.filter((name) => ofReader.includes(name))).toEqual([]);
    expect([names.length, -1, 0.5].some((unknown) => isReadersRead(unknown))).toBe(false);
  });

  it("a group has one portion of a transition, of any number of calls that have one", () => {
    const waiting = new WaitingOperations<{ readonly request: Request }>(100_000);
    for (let n = 0; n < 16; n++)
      waiting.add({ request: { operation: operationNumbers.commitPortion, args: [{ accountId: "acc_1", callId: `call_${n}` }] } });
    expect(waiting.takeGroup()).toHaveLength(1);
  });

  it("a flood of unknown API keys lets the look-up of a known one pass after one of its own", () => {
    const waiting = new WaitingOperations<{ readonly request: Request }>(100_000);
    const lookUp = (fingerprint: string, accountId: string | null) =>
      waiting.add({ request: { operation: operationNumbers.findAccountByKey, args: [[fingerprint], accountId] } });
    for (let n = 0; n < 5000; n++) expect(lookUp(`guess ${n}`, null)).toBe(true);
    expect(lookUp("known", "acc_1")).toBe(true);
    const taken = waiting.takeGroup().map(({ request }) => (request.args[0] as readonly string[])[0]);
    expect(taken.slice(0, 2)).toContain("known");
  });

  it("reject an unknown number, and run the others of its group", async () => {
    const queue = new GroupQueue({ path: ":memory:", policy: testPolicy }, "server");
    open.push(queue);
    await queue.opened;
    const count = Object.keys(operationNumbers).length;
    for (const unknown of [count, -1, 0.5, Number.NaN]) {
      const outcomes = await Promise.allSettled([
        queue.run(unknown as OperationNumber, []),
        queue.run(operationNumbers.setServerKeys, [["key"]]),
        queue.run(operationNumbers.listSources, []),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
      expect((outcomes[0] as PromiseRejectedResult).reason).toMatchObject({
        message: expect.stringContaining(`the writer thread has no operation ${unknown}`),
      });
    }
  });
});

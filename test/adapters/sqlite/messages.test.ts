import { deepStrictEqual } from "node:assert/strict";
import { keyScopes } from "../../../src/domain/secrets/key-scopes.ts";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { claim, draftResults } from "../../../src/adapters/sqlite/messages/claim-shapes.ts";
import { operationShapes } from "../../../src/adapters/sqlite/messages/operation-shapes.ts";
import {
  packAnswer,
  packDraftResults,
  packRequest,
  packValue,
  unpackAnswers,
  unpackDraftResults,
  unpackRequest,
} from "../../../src/adapters/sqlite/messages/packing.ts";
import { nullable, number, object, text } from "../../../src/adapters/sqlite/messages/shape.ts";
import type { AnyShape } from "../../../src/adapters/sqlite/messages/shape.ts";
import { packFromWriter, packToWriter, unpackFromWriter, unpackToWriter } from "../../../src/adapters/sqlite/messages/writer-messages.ts";
import { operationNumbers } from "../../../src/adapters/sqlite/operations.ts";
import type { OperationPort } from "../../../src/adapters/sqlite/operations.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { WriterHost, WriterThread } from "../../../src/adapters/sqlite/writer-thread/group-queue.ts";
import type { DraftResult, PackValue } from "../../../src/adapters/sqlite/writer-thread/group.ts";
import { serveWriter } from "../../../src/adapters/sqlite/writer-thread/writer.ts";
import type { FromWorker, ToWorker } from "../../../src/adapters/sqlite/writer-thread/writer.ts";
import type { IdempotencyClaim } from "../../../src/ports/stores/idempotency-store.ts";
import type { Notice } from "../../../src/ports/stores/call-store.ts";
import type { WatchDraft } from "../../../src/ports/stores/registration-store.ts";
import { claimWith, StoreWorld, secretDraft, startMs, testPolicy } from "../../harness/store-drafts.ts";
import { arbitraryOf } from "./shaped-values.ts";

/** Messages between the main thread and the threads of the store: they cross unchanged, or not at all. */

const names = Object.keys(operationNumbers) as (keyof OperationPort)[];
const shapesOf = (name: keyof OperationPort) => operationShapes[name] as { readonly args: readonly AnyShape[]; readonly result: AnyShape };
const numRuns = 30;

describe.each(names)("%s", (name) => {
  const operation = operationNumbers[name] as number;
  const { args, result } = shapesOf(name);

  test("crosses unchanged, with a claim and without", () => {
    const claims = fc.option(arbitraryOf(claim) as fc.Arbitrary<IdempotencyClaim>, { nil: null });
    fc.assert(
      fc.property(fc.tuple(...args.map(arbitraryOf)), claims, (values, claim) => {
        const request = { operation, args: values, ...(claim === null ? {} : { claim }) };
        deepStrictEqual(unpackRequest(structuredClone(packRequest(request))), structuredClone(request));
      }),
      { numRuns },
    );
  });

  test("is answered unchanged", () => {
    fc.assert(
      fc.property(arbitraryOf(result), (value) => {
        const packed = packAnswer({ ok: true, value: packValue({ operation }, value) });
        deepStrictEqual(unpackAnswers(structuredClone([packed])), [{ ok: true, value: structuredClone(value) }]);
      }),
      { numRuns },
    );
  });
});

test("drafts of answers cross unchanged", () => {
  fc.assert(
    fc.property(arbitraryOf(draftResults) as fc.Arbitrary<readonly DraftResult[]>, (drafted) => {
      deepStrictEqual(unpackDraftResults(structuredClone(packDraftResults(drafted))), structuredClone(drafted));
    }),
  );
});

test("the target of several jobs crosses once, and is one object", () => {
  const [value] = fc.sample(
    arbitraryOf(shapesOf("createTest").result).filter((value) => (value as { kind: string }).kind === "claimed"),
    1,
  );
  const { job } = value as { readonly job: { readonly target: object } };
  const answer = packValue({ operation: operationNumbers.claimDue }, { jobs: [job, { ...job }], nextDueAtMs: null });
  const [first, second] = unpackAnswers(structuredClone([answer, answer])).map((answer) =>
    answer.ok ? (answer.value as { jobs: { target: object }[] }) : null,
  );
  expect(new Set([...(first?.jobs ?? []), ...(second?.jobs ?? [])].map(({ target }) => target)).size).toBe(1);
});

test("a span of watches without an end crosses unchanged", () => {
  const change = { kind: "end", endReason: "not_found", spares: { afterMs: startMs, untilMs: Number.MAX_SAFE_INTEGER } };
  const commit = { callId: "call", accountId: "acc", expectedVersion: 1, nowMs: startMs, lastGoodPollAtMs: null, confirmed: false };
  const request = { operation: operationNumbers.commitCall, args: [{ ...commit, changes: [change, { ...change, spares: null }] }] };
  deepStrictEqual(unpackRequest(structuredClone(packRequest(request))), request);
});

test("bytes of a pool cross without the bytes around them", () => {
  const bytes = Buffer.from("sealed");
  const packed = structuredClone(packRequest({ operation: operationNumbers.ensureHashKey, args: ["api_keys", bytes] }));
  expect(packed.at(-1)).toStrictEqual(new Uint8Array(bytes));
  expect((packed.at(-1) as Uint8Array).buffer.byteLength).toBe(6);
});

test("a shape has what its type has, as the compiler checks", () => {
  const { commitCall: _, ...incomplete } = operationShapes;
  // @ts-expect-error Every operation has shapes.
  const complete: typeof operationShapes = incomplete;
  const watchId = nullable(text);
  const sequence = nullable(number);
  // @ts-expect-error Every property has a shape.
  const tooFew = object<Notice>({ accountId: text, watchId, sequence });
  // @ts-expect-error No other property has one.
  const tooMany = object<Notice>({ accountId: text, watchId, sequence, eventType: text, other: text });
  // @ts-expect-error A property that may be null has a shape that allows it.
  const neverNull = object<Notice>({ accountId: text, watchId: text, sequence, eventType: text });
  // @ts-expect-error A property that is never null has a shape that does not allow it.
  const maybeNull = object<Notice>({ accountId: nullable(text), watchId, sequence, eventType: text });
  expect([complete, tooFew, tooMany, neverNull, maybeNull]).toHaveLength(5);
});

const draftAnswer = () => ({ sealed: new Uint8Array(1), deliveryId: null, watchIds: [] });
const ignore = (): void => undefined;

/** Packs the values of the store, and gives each object of a list a property that no shape has. */
const withMore: PackValue = (request, value) =>
  packValue(request, Array.isArray(value) ? value.map((item: object) => ({ ...item, unknown: 1 })) : value);

/** The writer in this thread, behind messages that are cloned as between threads. */
function inThisThread(pack: PackValue): WriterHost {
  return {
    startThread: (options) => {
      let toQueue: (message: FromWorker) => void = ignore;
      let toWriter: (message: ToWorker) => void = ignore;
      const postMessage = (message: FromWorker) => {
        const packed = structuredClone(packFromWriter(message));
        queueMicrotask(() => toQueue(unpackFromWriter(packed)));
      };
      const on = (_event: "message", listener: typeof toWriter) => (toWriter = listener);
      serveWriter({ postMessage, on, close: () => undefined, packValue: pack }, options);
      return {
        postMessage: (message: ToWorker) => toWriter(unpackToWriter(structuredClone(packToWriter(message)))),
        on: (event: string, listener: (argument: never) => void) => {
          if (event === "message") toQueue = listener as typeof toQueue;
        },
        terminate: () => Promise.resolve(),
      } as WriterThread;
    },
    nextTurn: (run) => void setImmediate(run),
    setTimer: () => ({ cancel: () => undefined }),
  };
}

async function openWorld(host?: WriterHost): Promise<StoreWorld> {
  const options = { path: ":memory:", policy: testPolicy };
  const world = new StoreWorld(await openSqliteStore(host === undefined ? options : { ...options, host }));
  onTestFinished(() => world.store.close());
  return world;
}

describe("a request without the shape of its operation", () => {
  const misshapen: Readonly<Record<string, (draft: WatchDraft) => unknown>> = {
    "an unknown property": (draft) => ({ ...draft, unknown: 1 }),
    "an unknown property inside": (draft) => ({ ...draft, filter: { ...draft.filter, unknown: 1 } }),
    "a missing property": (draft) => Object.fromEntries(Object.entries(draft).filter(([key]) => key !== "scope")),
    "an undefined property": (draft) => ({ ...draft, scope: undefined }),
    "a null that is not allowed": (draft) => ({ ...draft, scope: null }),
    "a large integer": (draft) => ({ ...draft, nowMs: 1n }),
    "a date": (draft) => ({ ...draft, nowMs: new Date(0) }),
    "a function": (draft) => ({ ...draft, scope: () => "" }),
  };

  test.each(Object.entries(misshapen))("is refused alone: %s", async (_, misshape) => {
    const world = await openWorld();
    const { id: accountId } = await world.account();
    const [before, broken, after] = [await world.watchDraft("OUT-1"), await world.watchDraft("OUT-2"), await world.watchDraft("OUT-3")];
    const outcomes = await Promise.allSettled([
      world.store.registerWatches([before]),
      world.store.registerWatches([misshape(broken) as WatchDraft]),
      world.store.registerWatches([after]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(outcomes[1]).toMatchObject({ reason: { message: expect.stringContaining("a message between the threads needs") } });
    expect(await world.store.getWatch(accountId, broken.id)).toBeNull();
  });

  test("is refused with too many arguments, and in the reader", async () => {
    const { store } = await openWorld();
    const getWatch = store.getWatch as (...args: readonly unknown[]) => Promise<unknown>;
    await expect(getWatch("acc", "wch", "more")).rejects.toThrow("a message between the threads needs");
    await expect(getWatch("acc", 1)).rejects.toThrow("a message between the threads needs");
  });

  test("is refused without its values in the text of the error", async () => {
    const world = await openWorld();
    const draft = { ...(await world.watchDraft("OUT-1")), scope: { secret: "whsec_" } };
    const error = await world.store.registerWatches([draft as unknown as WatchDraft]).catch((error: Error) => error);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).not.toContain("whsec_");
  });
});

describe("an answer without the shape of its operation", () => {
  test("is refused: its operation alone fails and is rolled back", async () => {
    const world = await openWorld(inThisThread(withMore));
    const { id: accountId } = await world.account();
    const draft = await world.watchDraft("OUT-1");
    const account = {
      by: null,
      id: accountId,
      accountId,
      name: "key",
      fingerprints: ["print"],
      scopes: keyScopes,
      expiresAtMs: null,
      nowMs: startMs,
    };
    const outcomes = await Promise.allSettled([
      world.store.setServerKeys(["before"]),
      world.store.registerWatches([draft]),
      world.store.createKey(account),
      world.store.listKeys(accountId),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected"]);
    expect(outcomes[1]).toMatchObject({ reason: { message: expect.stringContaining("and has an object of kind") } });
    expect(await world.store.getWatch(accountId, draft.id)).toBeNull();
    expect((await world.store.readStats()).watchesByStatus["active"] ?? 0).toBe(0);
  });

  test("is refused under a claim, too, and the claim is free again", async () => {
    const world = await openWorld(inThisThread(withMore));
    const { id: accountId } = await world.account();
    const drafts = [await world.watchDraft("OUT-1")];
    const claim = claimWith({ id: "claim", accountId, nowMs: startMs, expiresAtMs: startMs + 1 });
    await expect(world.store.underKey(claim).registerWatches(drafts, draftAnswer)).rejects.toThrow("a message between the threads needs");
    expect(await world.store.findStoredAnswer(claim)).toBeNull();
    const hook = await world.hook("https://hooks.example/");
    const rotation = {
      by: null,
      accountId,
      endpointId: hook.view.endpoint.id,
      secret: secretDraft("rotated"),
      previousValidUntilMs: 1,
      nowMs: startMs,
    };
    expect(await world.store.underKey(claim).rotateSecret(rotation, draftAnswer)).toEqual({ kind: "ran", result: true });
  });

  test("that arrives with too few values or too many is a failure of its operation alone", () => {
    const sound = packValue({ operation: operationNumbers.readKeyIds }, ["key"]);
    const answers = unpackAnswers([sound.slice(0, -1), [...sound, "more"], [999], sound]);
    expect(answers.map(({ ok }) => ok)).toEqual([false, false, false, true]);
  });
});

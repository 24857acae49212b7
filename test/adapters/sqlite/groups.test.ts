import { afterEach, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { SqliteStoreOptions } from "../../../src/adapters/sqlite/store.ts";
import { CursorInvalidError, StoreOverloadedError, StoreUnavailableError } from "../../../src/domain/errors.ts";
import { claimWith, StoreWorld, ok, only, testPolicy } from "../../harness/store-drafts.ts";

const open: StoreWorld[] = [];
afterEach(async () => {
  for (const world of open.splice(0)) await world.store.close();
});

async function openWorld(options: Partial<SqliteStoreOptions> = {}): Promise<StoreWorld> {
  const world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy, ...options }));
  open.push(world);
  return world;
}

describe("group commit", () => {
  it("commits what was asked in one turn together, and reads without a commit", async () => {
    const commits: number[] = [];
    const world = await openWorld({ onCommitted: (durationMs) => commits.push(durationMs) });
    const { id: accountId } = await world.account();
    const drafts = await Promise.all(Array.from({ length: 50 }, (_, n) => world.watchDraft(`OUT-${n}`)));
    commits.length = 0;
    await Promise.all(drafts.map((draft) => world.store.registerWatches([draft])));
    expect(commits).toHaveLength(1);
    await Promise.all(drafts.map((draft) => world.store.getWatch(accountId, draft.id)));
    expect(commits).toHaveLength(1);
    expect(commits[0]).toBeGreaterThanOrEqual(0);
  });

  it("fails alone what fails, and keeps nothing of it", async () => {
    const world = await openWorld();
    const { id: accountId } = await world.account();
    const first = await world.watchDraft("OUT-1");
    const sound = await world.watchDraft("OUT-2");
    // The second of this batch has the id of a watch that is there: a bug, which fails the batch as a whole.
    const broken = [await world.watchDraft("OUT-3"), { ...(await world.watchDraft("OUT-4")), id: first.id }];
    const outcomes = await Promise.allSettled([
      world.store.registerWatches([first]),
      world.store.registerWatches(broken),
      world.store.listWatches({ accountId, status: null, callSid: null, limit: 10, cursor: "no cursor of ours" }),
      world.store.registerWatches([sound]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
    expect(outcomes[1]).toMatchObject({ reason: { message: expect.stringContaining("UNIQUE constraint failed") } });
    expect((outcomes[2] as PromiseRejectedResult).reason).toBeInstanceOf(CursorInvalidError);
    const { data } = await world.store.listWatches({ accountId, status: null, callSid: null, limit: 10, cursor: null });
    expect(data.map((view) => view.watch.callSid)).toEqual(["OUT-2", "OUT-1"]);
    expect((await world.store.readStats()).watchesByStatus["active"]).toBe(2);
  });

  it("answers in the order asked, however long the batches before are", async () => {
    const world = await openWorld();
    const order: string[] = [];
    const batch = await Promise.all(Array.from({ length: 900 }, (_, n) => world.watchDraft(`OUT-b-${n}`)));
    const [half, rest] = [batch.slice(0, 450), batch.slice(450)];
    await Promise.all([
      world.store.registerWatches(half).then(() => order.push("half")),
      world.store.registerWatches(rest).then(() => order.push("rest")),
      world.store
        .registerWatches(batch)
        .then((results) => order.push(`again: ${results.filter(({ kind }) => kind === "existing").length}`)),
      world.watch("OUT-single").then(() => order.push("single")),
    ]);
    expect(order).toEqual(["half", "rest", "again: 900", "single"]);
  });

  it("refuses more than its queue holds, and takes more once that is done", async () => {
    const world = await openWorld({ queueLimit: 6 });
    const { id: accountId } = await world.account();
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => world.store.getWatch(accountId, "wch_unknown")));
    expect(outcomes.map((outcome) => (outcome.status === "rejected" ? (outcome.reason as Error).name : "answered"))).toEqual([
      "answered",
      "answered",
      "answered",
      StoreOverloadedError.name,
      StoreOverloadedError.name,
    ]);
    expect(await world.store.getAccount(accountId)).not.toBeNull();
  });

  it("finishes what was accepted before it closes", async () => {
    const world = await openWorld();
    await world.account();
    const accepted = world.watch("OUT-1");
    await new Promise((resolve) => setImmediate(resolve));
    const closed = world.store.close();
    await expect(world.store.checkWritable()).rejects.toThrow(StoreUnavailableError);
    expect((await accepted).kind).toBe("created");
    await closed;
  });
});

const draft = (text: string) => () => ({ sealed: new TextEncoder().encode(text), deliveryId: null, watchIds: [] });

async function watchedWorld(recordLingerMs: number) {
  const commits: number[] = [];
  const world = await openWorld({ recordLingerMs, onCommitted: (durationMs) => commits.push(durationMs) });
  await world.watch("OUT-1");
  const job = only((await world.see("OUT-1", "queued")).jobs);
  commits.length = 0;
  return { world, job, commits };
}

describe("the record of an attempt", () => {
  const longMs = 60_000;

  it("shares the commit of what comes next", async () => {
    const { world, job, commits } = await watchedWorld(longMs);
    const recorded = world.record(job, ok);
    await new Promise((resolve) => setImmediate(resolve));
    await world.watch("OUT-2");
    expect((await recorded).delivery.status).toBe("delivered");
    expect(commits).toHaveLength(1);
  });

  it("waits no longer than its linger time", async () => {
    const { world, job, commits } = await watchedWorld(1);
    expect((await world.record(job, ok)).delivery.status).toBe("delivered");
    expect(commits).toHaveLength(1);
  });

  it("is written before the store closes", async () => {
    const { world, job } = await watchedWorld(longMs);
    const recorded = world.record(job, ok);
    await world.store.close();
    expect((await recorded).delivery.status).toBe("delivered");
  });
});

describe("claimed operations", () => {
  it("share the group's one commit, and a second use of a key in it is running", async () => {
    const commits: number[] = [];
    const world = await openWorld({ onCommitted: (durationMs) => commits.push(durationMs) });
    const { id: accountId } = await world.account();
    const drafts = await Promise.all(Array.from({ length: 12 }, (_, n) => world.watchDraft(`OUT-${n}`)));
    commits.length = 0;
    const runs = await Promise.all(
      drafts.map((watch, n) => {
        const claim = claimWith({ id: `key ${n % 10}`, accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs + 1 });
        return world.store.underKey(claim).registerWatches([watch], draft(watch.id));
      }),
    );
    expect(commits).toHaveLength(1);
    expect(runs.map(({ kind }) => kind)).toEqual([...Array.from({ length: 10 }, () => "ran"), "running", "running"]);
  });

  it("of a group that is run again are drafted from what is committed", async () => {
    const world = await openWorld();
    const { id: accountId } = await world.account();
    const claim = (id: string) => claimWith({ id, accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs + 1 });
    const given = await world.watchDraft("OUT-1");
    const secret = await world.watchDraft("OUT-1");
    // The second names the watch that the first made, until that is undone.
    const [undone, made] = await Promise.allSettled([
      world.store.underKey(claim("a")).registerWatches([given], () => {
        throw new Error("no words for it");
      }),
      world.store.underKey(claim("b")).registerWatches([secret], draft("b")),
    ]);
    expect(undone.status).toBe("rejected");
    expect(made).toMatchObject({ value: { kind: "ran", result: [{ kind: "created", view: { watch: { id: secret.id } } }] } });
    expect((await world.store.getWatch(accountId, secret.id))?.watch.callSid).toBe("OUT-1");
    expect(await world.store.getWatch(accountId, given.id)).toBeNull();
  });
});

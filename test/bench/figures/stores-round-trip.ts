import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { WatchedCall } from "../../../src/ports/stores/call-store.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { startEmbedded } from "../../harness/postgres/postgres-server.ts";
import { StoreWorld, ok, startMs, statusChange, testPolicy } from "../../harness/store-drafts.ts";
import type { Figure } from "../figure.ts";
import { alternate, median } from "../machine/alternation.ts";
import { transitionsOfLoop } from "../postgres-loop.ts";

const inFlight = 64;
const statuses = ["queued", "calling", "success"];

/**
 * What the store alone makes of a transition and its webhook: commitCall, then recordAttempt, with 64 under way at any
 * time. On Postgres it is compared with a bare loop of the same inserts and updates, one commit a batch, which decides
 * nothing. All are measured in turn, `rounds` times; the middle ratio counts.
 */
export async function measureStoresRoundTrip(calls: number, rounds: number): Promise<Figure> {
  const measured = await alternate(
    rounds,
    new Map([
      ["sqlite", () => measureSqlite(calls)],
      ["postgres", () => measurePostgres(calls)],
      ["loop", () => measureLoop(calls)],
    ]),
  );
  const [sqlite = [], postgres = [], loop = []] = ["sqlite", "postgres", "loop"].map((side) => measured.get(side));
  const ratio = median(postgres.map((perSecond, round) => perSecond / (loop[round] ?? Number.NaN)));
  return {
    name: "transition and attempt through Postgres against a bare loop of the same statements",
    value: ratio,
    shown: `${ratio.toFixed(2)} (${medianRate(postgres)} against ${medianRate(loop)}; SQLite ${medianRate(sqlite)})`,
    bar: ">= 0.5",
    met: ratio >= 0.5,
  };
}

function medianRate(perSecond: readonly number[]): string {
  return `${Math.round(median(perSecond))}/s`;
}

async function measureSqlite(calls: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-bench-"));
  const store = await openSqliteStore({ path: join(folder, "ringback.db"), policy: testPolicy });
  try {
    return await roundTripsPerSecond(store, await watch(store, calls));
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

async function measurePostgres(calls: number): Promise<number> {
  return await onPostgres(async ({ store }) => roundTripsPerSecond(store, await watch(store, calls)));
}

async function measureLoop(calls: number): Promise<number> {
  return await onPostgres(async ({ store, url }) => {
    await watch(store, calls);
    return await transitionsOfLoop(url, statuses, inFlight);
  });
}

async function onPostgres(measure: (on: { readonly store: ServiceStore; readonly url: string }) => Promise<number>): Promise<number> {
  const server = await startEmbedded();
  try {
    await migrate(server.url);
    const owner = { token: null as number | null, hasPeers: false };
    const db = new Database({ connectionString: server.url, policy: testPolicy, owner });
    const row = await db.get(
      "insert into instances (slot, lease_until, version) values (1, clock_timestamp() + interval '1 hour', 'bench') returning token",
    );
    owner.token = row?.["token"] as number;
    const store = createPostgresStore(db);
    try {
      return await measure({ store, url: server.url });
    } finally {
      await store.close();
    }
  } finally {
    await server.stop();
  }
}

async function watch(store: ServiceStore, calls: number): Promise<WatchedCall[]> {
  const world = new StoreWorld(store);
  const watched: WatchedCall[] = [];
  for (let from = 0; from < calls; from += 500) {
    const drafts = await Promise.all(
      Array.from({ length: Math.min(500, calls - from) }, (_, n) =>
        world.watchDraft(`OUT-${from + n}`, { url: `https://r.example/${(from + n) % 100}` }),
      ),
    );
    for (const result of await store.registerWatches(drafts))
      if (result.kind === "created" && result.call !== null) watched.push(result.call);
  }
  return watched;
}

async function roundTripsPerSecond(store: ServiceStore, watched: WatchedCall[]): Promise<number> {
  const transitions = watched.length * statuses.length;
  const startedMs = performance.now();
  const worker = async () => {
    for (let call = watched.pop(); call !== undefined; call = watched.pop()) await live(store, call);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return transitions / ((performance.now() - startedMs) / 1000);
}

async function live(store: ServiceStore, { callId, accountId }: WatchedCall): Promise<void> {
  for (const [index, status] of statuses.entries()) {
    const committed = await store.commitCall({
      callId,
      accountId,
      expectedVersion: index + 1,
      nowMs: startMs,
      lastGoodPollAtMs: startMs,
      confirmed: true,
      changes: [statusChange(status)],
    });
    const [job] = committed.kind === "committed" ? committed.jobs : [];
    if (job === undefined) throw new Error(`no job of ${status}: ${JSON.stringify(committed)}`);
    const { deliveryId, leaseToken, attemptNumber, mode } = job;
    const attempt = {
      deliveryId,
      accountId,
      leaseToken,
      attemptNumber,
      mode,
      startedAtMs: startMs,
      durationMs: 1,
      outcome: ok,
      nowMs: startMs,
      jitter: 0,
    };
    const recorded = await store.recordAttempt(attempt);
    if (recorded.kind !== "recorded") throw new Error("the lease was lost");
  }
}

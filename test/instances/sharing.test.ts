import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/adapters/clock.ts";
import { DatabaseClock } from "../../src/adapters/postgres/connection/database-clock.ts";
import { Database } from "../../src/adapters/postgres/connection/database.ts";
import { Instances } from "../../src/adapters/postgres/instances/instance-rows.ts";
import { createSharedSourceStore } from "../../src/adapters/postgres/instances/source-gates.ts";
import { SourceStateSync } from "../../src/engine/instances/source-state-sync.ts";
import { SourceGate } from "../../src/engine/sources/source-gate.ts";
import type { QueuedPoll } from "../../src/engine/sources/fair-poll-queue.ts";
import { ChangeSweeper } from "../../src/engine/instances/change-sweeper.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startInstance } from "./instance.ts";
import { queuedPoll, unauthorized } from "../harness/polling.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { StatementCount } from "../harness/postgres/statement-count.ts";
import { testPolicy } from "../harness/store-drafts.ts";
import { TcpProxy } from "../harness/postgres/tcp-proxy.ts";

let database: TestPostgres;
let db: Database;
let instances: Instances;

beforeEach(async () => {
  database = await TestPostgres.create();
  db = new Database({ connectionString: database.url, policy: testPolicy, owner: { token: null, hasPeers: true } });
  instances = new Instances({ db, clock: new DatabaseClock(systemClock), notifyPeers: () => undefined });
  await instances.join({ version: "test", leaseMs: 60_000, shares: {} });
});
afterEach(async () => {
  await db.close();
  await database.dispose();
});

/** A source's gate on this machine's clock, and what it and its peers agree on. */
class SourceWorld {
  readonly published: string[] = [];
  readonly gate: SourceGate<QueuedPoll>;
  readonly shared: SourceStateSync;

  constructor() {
    const source = { id: "src_1", name: "default", kind: "polyai-legacy", maxPollsPerSecond: 200 } as const;
    const waits = { intervalMinMs: 2000, intervalMaxMs: 5000, corroborationMs: 600_000 };
    this.gate = new SourceGate({ source, clock: systemClock, ...waits, onShared: (part) => this.shared.changed("default", part) });
    this.shared = new SourceStateSync({
      store: createSharedSourceStore(db, () => undefined),
      gates: () => new Map([["default", this.gate]]),
      onAdopted: () => undefined,
      onSourceChange: (_health, change) => this.published.push(change),
    });
  }

  suspend(): void {
    const call = queuedPoll({ isFirstPoll: true });
    this.gate.queue.add(call);
    const polled = this.gate.next();
    if (polled === null) throw new Error("may not poll");
    const change = this.gate.record(polled, unauthorized);
    if (change === "suspended") this.shared.queueSourceEvent(this.gate.health(), change);
  }
}

const suspended = () => db.get("select reason from source_gates where source_name = 'default'");

test("a sweep ends although notifications of others do not", async () => {
  const looks = new ChangeSweeper({
    store: instances,
    waiters: { hasWaiters: false, waitedFor: () => [], publish: () => undefined },
    dispatcher: { wake: () => undefined, dropFinished: () => undefined, cancelEndpoint: () => undefined },
    poller: { watch: () => undefined, rewatch: () => undefined },
    refreshSources: () => Promise.resolve(),
    adopt: () => undefined,
    mayEvict: () => false,
    onEvicted: () => undefined,
    claimUnowned: () => Promise.resolve(0),
    followAccounts: () => undefined,
    onAllOwned: () => undefined,
  });
  const ended = looks.tick().then(() => "ended");
  const deadlineMs = performance.now() + 3000;
  let seen: unknown = null;
  while (seen !== "ended" && performance.now() < deadlineMs) {
    void looks.tick();
    seen = await Promise.race([ended, setImmediate("goes on")]);
  }
  expect(seen).toBe("ended");
});

test("a suspension is written even if the row of the source was deleted meanwhile", async () => {
  const world = new SourceWorld();
  const row = { sourceName: "default", suspension: null, throttledUntilMs: null, rateFactor: 1, throttleVersion: 0 };
  world.shared.adopt([{ ...row, suspensionVersion: 7 }]);
  // No instance was alive, so the row was made again, with a throttle.
  await db.run("insert into source_gates (source_name, throttled_until, throttle_version) values ('default', 1, 1)");
  world.suspend();
  await world.shared.publish();
  expect(await suspended()).toEqual({ reason: "unauthorized" });
  expect(world.published).toEqual(["suspended"]);
});

test("a suspension whose write was not answered is published to the hooks all the same", async () => {
  const world = new SourceWorld();
  const writing = createSharedSourceStore(db, () => undefined);
  world.suspend();
  const { suspension } = world.gate;
  // It took place; only its answer was lost.
  await writing.changeSuspension({ sourceName: "default", suspension, expectedVersion: 0 });
  await world.shared.publish();
  await eventually(
    () => instances.sweep(),
    ({ gates }) => gates.length > 0,
  ).then(({ gates }) => world.shared.adopt(gates));
  expect(world.published).toEqual(["suspended"]);
});

test("a start that is refused after joining leaves no lease behind", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const starting = startInstance({
    databaseUrl: database.url,
    upstreamUrl: "http://127.0.0.1:9",
    environment: { METRICS_PORT: String(port) },
  });
  await expect(starting).rejects.toThrow("METRICS_PORT");
  taken.close();
  expect(await db.get("select count(*) as n from instances where token <> $1", db.owner.token)).toEqual({ n: 0 });
});

test("endless notifications of others cause one sweep per pause, not one after another", async () => {
  const { hostname, port, pathname, username, password } = new URL(database.url);
  const count = new StatementCount();
  const wire = await TcpProxy.start({ host: hostname, port: Number(port) });
  wire.tap = count.tap;
  const databaseUrl = `postgres://${username}:${password}@127.0.0.1:${wire.port}${pathname}`;
  await startInstance({ databaseUrl, upstreamUrl: "http://127.0.0.1:9" });
  // A sweep reads the clock with everything else it reads.
  const looks = () => [...count.byText].find(([text]) => text.startsWith("select (extract(epoch"))?.[1] ?? 0;
  const before = looks();
  const startedMs = performance.now();
  let words = 0;
  for (; performance.now() - startedMs < 2000; words++) await db.run("select pg_notify('ringback', '0:events,deliveries')");
  const seen = looks() - before;
  expect(words).toBeGreaterThan(200);
  expect(seen).toBeGreaterThan(5);
  // One each 50 ms, and those of the loop's own.
  expect(seen).toBeLessThan(45);
});

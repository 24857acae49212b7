import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSecretBox } from "../../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { Observation } from "../../../src/domain/calls/call.ts";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import { newId } from "../../../src/domain/ids.ts";
import { associatedData } from "../../../src/domain/secrets/sealed-identity.ts";
import { SourceReloader } from "../../../src/engine/polling/source-reloader.ts";
import { Loop } from "../../../src/engine/runtime/loop.ts";
import type { RegistrableSource } from "../../../src/engine/sources/registrable-source.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import type { SourceDraft } from "../../../src/ports/stores/source-store.ts";
import { broken, fine, missing, PollingWorld, ScriptedSource, unauthorized } from "../../harness/polling.ts";
import { silentLogger } from "../../harness/silent-telemetry.ts";
import { account } from "../../http/views.ts";
import { expectKind, minute, second, testPolicy } from "../../harness/store-drafts.ts";

const secretBox = createSecretBox([randomBytes(32)]);
let store: ServiceStore;

beforeEach(async () => {
  store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
});
afterEach(() => store.close());

/** A directory over a real store and poller; upstreams are scripted, one for each base URL and credential. */
class DirectoryWorld {
  readonly polling = new PollingWorld(store);
  readonly registrable = new Map<string, RegistrableSource>();
  readonly logged: string[] = [];
  readonly upstreams = new Map<string, ScriptedSource>();
  storeFailure: Error | null = null;
  readonly directory: SourceReloader;
  readonly #drafts = new Map<string, SourceDraft>();

  constructor() {
    const log = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
      void this.logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
    this.directory = new SourceReloader({
      store: {
        listSources: async () => {
          if (this.storeFailure !== null) throw this.storeFailure;
          return store.listSources();
        },
      },
      secretBox,
      logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
      poller: this.polling.poller,
      registrable: this.registrable,
      setupOf: ({ id, name, kind, baseUrl, maxPollsPerSecond }, credential) => {
        if (baseUrl.includes("impossible")) throw new Error("no request can be made of it");
        const callSource = this.upstream(baseUrl, credential);
        return { ...this.polling.setup, source: { id, name, kind, maxPollsPerSecond }, callSource };
      },
    });
  }

  upstream(baseUrl: string, credential = "token"): ScriptedSource {
    const key = `${baseUrl} ${credential}`;
    const known = this.upstreams.get(key) ?? new ScriptedSource(this.polling.clock);
    this.upstreams.set(key, known);
    return known;
  }

  async set(name: string, given: Partial<SourceDraft> & { readonly credential?: string } = {}): Promise<void> {
    const before = this.#drafts.get(name);
    const id = before?.id ?? newId("src", 0);
    const { credential, ...settings } = given;
    const sealedCredential =
      credential === undefined && before !== undefined
        ? before.sealedCredential
        : secretBox.seal(credential ?? "token", associatedData("credential", id));
    const fresh = {
      kind: "polyai-legacy",
      baseUrl: "https://one.example",
      agentId: null,
      environment: null,
      definition: null,
      statusMap: null,
    } as const;
    const draft = {
      by: null,
      accountId: null,
      maxPollsPerSecond: 100,
      nowMs: 0,
      ...fresh,
      ...before,
      ...settings,
      id,
      name,
      sealedCredential,
    };
    const revision = (await store.listSources()).find((source) => source.name === name)?.revision ?? null;
    expectKind(await store.setSource(draft, revision), "set");
    this.#drafts.set(name, draft);
  }

  health(name: string) {
    return this.polling.poller.sources.health().find((source) => source.name === name);
  }
}

describe("a source that is set while the service runs", () => {
  test("is polled, and may be used by whom it is for", async () => {
    const world = new DirectoryWorld();
    const acme = await store.ensureAccount({ ...account, id: newId("acc", 0), name: "acme" });
    await world.directory.refresh();
    expect([...world.registrable.keys()]).toEqual([]);
    await world.set("shared");
    await world.set("own", { accountId: acme.id });
    await world.directory.refresh();
    await world.polling.watch("OUT-1", { sourceName: "shared" });
    expect(world.polling.notified).toEqual(["1 call.queued"]);
    expect(world.upstream("https://one.example").polls).toHaveLength(1);
    const other = { ...account, id: newId("acc", 0) };
    const mayUse = (name: string, who: typeof account) => world.registrable.get(name)?.mayUse(who);
    expect([mayUse("shared", acme), mayUse("shared", other)]).toEqual([true, true]);
    expect([mayUse("own", acme), mayUse("own", other)]).toEqual([true, false]);
  });

  test("takes up the calls that were registered before it was known", async () => {
    const world = new DirectoryWorld();
    for (const sid of ["OUT-1", "OUT-2", "OUT-3"]) await world.polling.watch(sid, { sourceName: "late" });
    await world.polling.watch("OUT-1", { sourceName: "never" });
    expect(world.polling.poller.sources.callCount).toBe(0);
    await world.set("late");
    await world.directory.refresh();
    expect(world.polling.poller.sources.callCount).toBe(3);
    await world.polling.advance(5 * second);
    expect(world.polling.notified).toEqual(["1 call.queued", "1 call.queued", "1 call.queued"]);
  });

  test("is read once, and again when it changes", async () => {
    const world = new DirectoryWorld();
    await world.set("shared");
    for (let n = 0; n < 3; n++) await world.directory.refresh();
    await world.set("shared", { maxPollsPerSecond: 5 });
    for (let n = 0; n < 3; n++) await world.directory.refresh();
    expect(world.logged.map((line) => line.split(" {")[0])).toEqual(["info source.added", "info source.changed"]);
  });

  test("with a name of the environment's is none", async () => {
    const world = new DirectoryWorld();
    for (const name of ["default", "sandbox"]) await world.set(name);
    await world.directory.refresh();
    expect([world.registrable.size, world.upstreams.size]).toEqual([0, 0]);
  });
});

describe("a source that is removed", () => {
  test("is polled no more, ends its watches as lost, those of calls that arrive late too", async () => {
    const world = new DirectoryWorld();
    const upstream = world.upstream("https://one.example");
    await world.set("shared");
    await world.set("other", { baseUrl: "https://two.example" });
    await world.directory.refresh();
    for (const sid of ["OUT-1", "OUT-2"]) await world.polling.watch(sid, { sourceName: "shared" });
    await world.polling.watch("OUT-3", { sourceName: "other" });
    await store.removeSource({ by: null, name: "shared", force: true, nowMs: 0 });
    await world.directory.refresh();
    expect([...world.registrable.keys()]).toEqual(["other"]);
    expect(upstream.isClosed).toBe(true);
    await world.polling.advance(second);
    expect(world.polling.notified.toSorted()).toEqual(["1 call.queued", "1 call.queued", "1 call.queued", "2 watch.lost", "2 watch.lost"]);
    await world.polling.watch("OUT-4", { sourceName: "shared" });
    await world.directory.refresh();
    await world.polling.advance(second);
    expect(world.polling.notified.at(-1)).toBe("1 watch.lost");
    const polls = upstream.polls.length;
    await world.polling.advance(minute);
    expect(upstream.polls).toHaveLength(polls);
    expect(world.polling.poller.sources.isRemoved("shared")).toBe(true);
    // Nothing degrades for a source that is no more.
    expect(world.health("shared")).toBeUndefined();
    expect(world.logged.filter((line) => line.startsWith("info source.removed"))).toHaveLength(1);
  });
});

describe("another upstream", () => {
  test("takes over the calls; what the old one answers to polls on the wire counts for nothing", async () => {
    const world = new DirectoryWorld();
    const [one, two] = [world.upstream("https://one.example"), world.upstream("https://two.example")];
    await world.set("shared");
    await world.directory.refresh();
    await world.polling.watch("OUT-1", { sourceName: "shared" });
    await world.polling.watch("OUT-2", { sourceName: "shared" });
    const answers = new Map<string, (observation: Observation) => void>();
    one.answer = (callSid) => new Promise((resolve) => answers.set(callSid, resolve));
    await world.polling.advance(3 * second);
    expect([...answers.keys()].toSorted()).toEqual(["OUT-1", "OUT-2"]);
    two.answer = () => fine("calling");
    await world.set("shared", { baseUrl: "https://two.example" });
    await world.directory.refresh();
    expect(one.isClosed).toBe(true);
    expect(world.health("shared")).toMatchObject({ state: "unproven", lastGoodPollAtMs: null });
    answers.get("OUT-1")?.(fine("success"));
    answers.get("OUT-2")?.(unauthorized);
    await world.polling.advance(second);
    expect(two.polls.map(({ callSid }) => callSid).toSorted()).toEqual(["OUT-1", "OUT-2"]);
    expect(world.polling.notified).toEqual(["1 call.queued", "1 call.queued", "2 call.calling", "2 call.calling"]);
    expect(world.health("shared")?.state).toBe("ok");
    const polls = one.polls.length;
    await world.polling.advance(minute);
    expect(one.polls).toHaveLength(polls);
    expect(two.polls.length).toBeGreaterThan(50);
    expect(two.mostInFlight).toBeLessThanOrEqual(2);
  });

  test("has the same load, and every call that waits for its turn gets it", async () => {
    const world = new DirectoryWorld();
    await world.set("shared", { maxPollsPerSecond: 1 });
    await world.directory.refresh();
    for (let n = 0; n < 20; n++) await world.polling.watch(`OUT-${n}`, { sourceName: "shared" });
    await world.polling.advance(3 * second);
    await world.set("shared", { baseUrl: "https://two.example" });
    await world.directory.refresh();
    expect(world.health("shared")?.intervalMs).toBe(20_000);
    await world.polling.advance(40 * second);
    expect(new Set(world.upstream("https://two.example").polls.map(({ callSid }) => callSid)).size).toBe(20);
    expect(world.upstream("https://two.example").polls.length).toBeLessThanOrEqual(41);
  });

  test("a new credential ends a suspension at once, for the calls that waited too", async () => {
    const world = new DirectoryWorld();
    world.upstream("https://one.example").answer = () => unauthorized;
    await world.set("shared");
    await world.directory.refresh();
    for (const sid of ["OUT-1", "OUT-2", "OUT-3"]) await world.polling.watch(sid, { sourceName: "shared" });
    await world.polling.advance(minute);
    expect(world.health("shared")).toMatchObject({ state: "suspended", reason: "unauthorized" });
    await world.set("shared", { credential: "renewed" });
    await world.directory.refresh();
    await world.polling.advance(3 * second);
    expect(world.polling.sourceChanges).toEqual(["suspended: unauthorized", "resumed"]);
    expect(world.polling.notified).toEqual(["1 call.queued", "1 call.queued", "1 call.queued"]);
  });

  test("neither the failures nor the denials of the old one are held against a call", async () => {
    const world = new DirectoryWorld();
    await world.set("shared");
    await world.directory.refresh();
    await world.polling.watch("OUT-1", { sourceName: "shared" });
    await world.polling.watch("OUT-2", { sourceName: "shared" });
    world.upstream("https://one.example").answer = (callSid) => (callSid === "OUT-1" ? missing : broken);
    await world.polling.advance(4 * minute);
    const two = world.upstream("https://two.example");
    two.answer = (callSid) => (callSid === "OUT-1" ? missing : fine("calling"));
    await world.set("shared", { baseUrl: "https://two.example" });
    await world.directory.refresh();
    await world.polling.advance(2 * minute);
    // Six minutes of 404 in all, but no five of this upstream's.
    expect(world.polling.notified).toEqual(["1 call.queued", "1 call.queued", "2 call.calling"]);
    expect(two.polls.filter(({ callSid, atMs }) => callSid === "OUT-2" && atMs <= 4 * minute + 3 * second)).not.toHaveLength(0);
  });

  test("another rate leaves everything else as it is", async () => {
    const world = new DirectoryWorld();
    const upstream = world.upstream("https://one.example");
    await world.set("shared", { maxPollsPerSecond: 1 });
    await world.directory.refresh();
    for (let n = 0; n < 20; n++) await world.polling.watch(`OUT-${n}`, { sourceName: "shared" });
    await world.polling.advance(minute);
    expect(world.health("shared")).toMatchObject({ state: "slowed", reason: "interval", intervalMs: 20_000 });
    const before = world.health("shared")?.lastGoodPollAtMs;
    await world.set("shared", { maxPollsPerSecond: 50 });
    await world.directory.refresh();
    expect(world.health("shared")).toMatchObject({ state: "ok", intervalMs: 2000, lastGoodPollAtMs: before });
    expect(upstream.isClosed).toBe(false);
    // Those waiting for their turn go at the new rate, those in the wheel come round once more at the old interval.
    await world.polling.advance(20 * second);
    upstream.polls = [];
    await world.polling.advance(10 * second);
    expect(upstream.polls.length).toBeGreaterThan(80);
    upstream.answer = () => unauthorized;
    await world.polling.advance(10 * second);
    await world.set("shared", { maxPollsPerSecond: 10 });
    await world.directory.refresh();
    expect(world.health("shared")?.state).toBe("suspended");
  });
});

describe("a source that cannot be used", () => {
  test("is logged without its credential, and what was there before goes on", async () => {
    const world = new DirectoryWorld();
    await world.set("shared", { credential: "very-secret" });
    await world.directory.refresh();
    await world.polling.watch("OUT-1", { sourceName: "shared" });
    await world.set("shared", { sealedCredential: createSecretBox([randomBytes(32)]).seal("very-secret", "") });
    await world.set("shared", { baseUrl: "https://impossible.example" });
    await world.directory.refresh();
    await world.directory.refresh();
    expect(world.logged.filter((line) => line.startsWith("error source.unusable"))).toHaveLength(1);
    expect(world.logged.join()).not.toContain("very-secret");
    const upstream = world.upstream("https://one.example", "very-secret");
    const polls = upstream.polls.length;
    await world.polling.advance(minute);
    expect(upstream.polls.length).toBeGreaterThan(polls + 20);
    await world.set("shared", { baseUrl: "https://two.example", credential: "very-secret" });
    await world.directory.refresh();
    await world.polling.advance(5 * second);
    expect(world.upstream("https://two.example", "very-secret").polls.length).toBeGreaterThan(0);
  });

  test("from the beginning is no source until it is set right", async () => {
    const world = new DirectoryWorld();
    await world.set("shared", { baseUrl: "https://impossible.example" });
    await world.directory.refresh();
    expect(world.registrable.size).toBe(0);
    await world.set("shared", { baseUrl: "https://one.example" });
    await world.directory.refresh();
    expect([...world.registrable.keys()]).toEqual(["shared"]);
  });
});

test("a store that is away is waited for", async () => {
  const world = new DirectoryWorld();
  await world.set("shared");
  world.storeFailure = new StoreUnavailableError("away");
  await expect(world.directory.refresh()).rejects.toThrow(StoreUnavailableError);
  const { clock } = world.polling;
  const warn = (_: unknown, message: string) => void world.logged.push(`warn ${message}`);
  const loop = new Loop({
    name: "sources",
    everyMs: 2000,
    tick: () => world.directory.refresh(),
    clock,
    logger: { ...silentLogger, warn },
  });
  await loop.tick();
  expect(world.logged).toEqual(["warn loop.waits_for_store"]);
  world.storeFailure = null;
  await loop.tick();
  expect([...world.registrable.keys()]).toEqual(["shared"]);
});

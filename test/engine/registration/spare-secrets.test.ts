import { commandLine } from "../../../src/domain/audit.ts";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { createSecretBox } from "../../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { WebhookAddressGuard } from "../../../src/adapters/webhook/address-guard.ts";
import { unfiltered } from "../../../src/domain/events/event-filter.ts";
import { KeySequence, useKeys } from "../../../src/domain/ids.ts";
import { associatedData } from "../../../src/domain/secrets/sealed-identity.ts";
import { Poller } from "../../../src/engine/polling/poller.ts";
import { ComputingTurns } from "../../../src/engine/runtime/computing-turns.ts";
import { Registrar } from "../../../src/engine/registration/registrar.ts";
import { WatchDrafts } from "../../../src/engine/registration/watch-drafts.ts";
import { SpareSecrets } from "../../../src/engine/registration/spare-secrets.ts";
import { Idempotency } from "../../../src/engine/requests/idempotency.ts";
import type { Account } from "../../../src/ports/stores/account-store.ts";
import type { ClaimableStore } from "../../../src/ports/stores/idempotency-store.ts";
import type { EndpointDraft, RegisterHookResult, RegisterWatchResult } from "../../../src/ports/stores/registration-store.ts";
import type { KeyedRequest } from "../../../src/ports/use-cases/idempotency.ts";
import type { WatchRequest } from "../../../src/ports/use-cases/registration.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { silentLogger, silentMetrics } from "../../harness/silent-telemetry.ts";
import { StoreWorld, noQuotas, startMs, testPolicy } from "../../harness/store-drafts.ts";

const [newerKey, olderKey] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const secretBox = createSecretBox([newerKey, olderKey]);
const givenSecret = `whsec_${Buffer.alloc(24, 3).toString("base64")}`;
const world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy }));
let accounts = 0;

afterAll(() => world.store.close());

/** What the store does to a request: `refused` writes nothing, `answer_lost` writes and rejects. */
type Fault = "none" | "refused" | "answer_lost";
type Operation = "registerWatches" | "registerHook";
type Result = RegisterHookResult | readonly RegisterWatchResult[];
type Drafts = { readonly secretIds: readonly string[]; readonly keyed: boolean };

/** The registrar on a real store that can be made to fail; it compares the secrets of all drafts with those in use. */
class RegistrarWorld {
  readonly registrar: Registrar;
  readonly account: Account;
  fault: Fault = "none";
  /** Ids of generated secrets that an endpoint got. */
  readonly stored = new Set<string>();
  readonly #inFlight = new Set<string>();
  /** Ids of secrets that a stored answer or an unknown outcome may name. */
  readonly #lost = new Set<string>();
  /** The secret ids of every draft, in order. */
  readonly drafted: string[] = [];

  private constructor(account: Account) {
    const { store } = world;
    const clock = new FakeClock(startMs);
    const observed: ClaimableStore = {
      ...store,
      registerWatches: (drafts) => this.#observe(secretsOf(drafts), false, () => store.registerWatches(drafts)),
      registerHook: (draft) => this.#observe([draft.endpoint.generatedSecret.id], false, () => store.registerHook(draft)),
    };
    const underKey: typeof store.underKey = (claim) => {
      const claimed = store.underKey(claim);
      const observeRun =
        <Name extends Operation>(name: Name, idsOf: (request: never) => readonly string[]) =>
        (request: never, draftAnswer: never) =>
          this.#observe(idsOf(request), true, () =>
            (claimed[name] as never as (...given: readonly never[]) => Promise<Result>)(request, draftAnswer),
          );
      return {
        ...claimed,
        registerWatches: observeRun("registerWatches", secretsOf) as never,
        registerHook: observeRun("registerHook", (draft: { readonly endpoint: EndpointDraft }) => [
          draft.endpoint.generatedSecret.id,
        ]) as never,
      };
    };
    const guard = new WebhookAddressGuard({
      allow: ["127.0.0.0/8"],
      allowHttp: true,
      ports: [],
      dnsServers: [],
      publicUrl: null,
      ownPorts: () => [],
    });
    this.account = account;
    const publication = {
      sources: new Map([
        [
          "default",
          {
            name: "default",
            soleAccountId: null,
            sidFault: () => null,
            scopeOf: () => "",
            mayUse: () => true,
            replayable: () => false,
            restart: () => undefined,
          },
        ],
      ]),
      poller: new Poller({
        sources: [],
        store,
        clock,
        logger: silentLogger,
        metrics: silentMetrics,
        listeners: [],
        onSourceChange: () => undefined,
      }),
      listeners: [],
      endpointListener: { reopenEndpoint: () => undefined },
    };
    const quotas = { ...noQuotas, maxActiveWatches: 12 };
    this.registrar = new Registrar({
      store,
      idempotency: new Idempotency({
        store: { ...store, ...observed, underKey },
        secretBox,
        clock,
        keyedHash: (text) => text,
        maxStoredBytes: 0,
      }),
      drafts: new WatchDrafts({ secretBox, guard, allowHttp: true, quotas, watchDeadlineMs: 3_600_000, ...publication }),
      clock,
      turns: new ComputingTurns(clock),
      quotas,
      ...publication,
    });
  }

  /** With an account of its own. */
  static async open(): Promise<RegistrarWorld> {
    return new RegistrarWorld(await world.account(`account ${(accounts += 1)}`));
  }

  async #observe<R>(secretIds: readonly string[], keyed: boolean, run: () => Promise<R>): Promise<R> {
    const { fault } = this;
    const drafts: Drafts = { secretIds, keyed };
    for (const id of secretIds)
      expect([id, this.stored.has(id), this.#inFlight.has(id), this.#lost.has(id)]).toEqual([id, false, false, false]);
    for (const id of secretIds) this.#inFlight.add(id);
    this.drafted.push(...secretIds);
    try {
      if (fault === "refused") throw new Error("refused");
      const result = await run();
      this.#noteStored(drafts, result as Result | { readonly result?: Result });
      if (fault === "answer_lost") throw new Error("the answer is lost");
      return result;
    } catch (error) {
      for (const id of secretIds) this.#lost.add(id);
      throw error;
    } finally {
      for (const id of secretIds) this.#inFlight.delete(id);
      if (keyed) for (const id of secretIds) this.#lost.add(id);
    }
  }

  #noteStored({ secretIds }: Drafts, outcome: Result | { readonly result?: Result }): void {
    const result = "result" in outcome ? outcome.result : (outcome as Result);
    if (result === undefined || !(Array.isArray(result) || "kind" in result)) return;
    for (const [index, one] of [result].flat().entries())
      if (one.kind === "created" && one.showsGeneratedSecret) this.stored.add(secretIds[index] ?? "");
  }
}

const secretsOf = (drafts: readonly { readonly endpoint: EndpointDraft | null }[]): readonly string[] =>
  drafts.map(({ endpoint }) => endpoint?.generatedSecret.id ?? "");

const endpointFields = { format: null, request: null, headers: null, filter: unfiltered };
const urlOf = (n: number) => `http://127.0.0.1:9/${n}`;
const watchRequest = (callSid: string, url: number, signingSecret: string | null = null): WatchRequest => ({
  ...endpointFields,
  callSid,
  callbackUrl: urlOf(url),
  needsHook: false,
  signingSecret,
  metadata: {},
  trace: null,
  sourceName: "default",
  expiresAtMs: null,
});
const register = ({ registrar, account }: RegistrarWorld, callSid: string, url = 1) =>
  registrar.registerWatch(account, watchRequest(callSid, url), null, commandLine);

const request = fc.record({
  kind: fc.constantFrom("watch", "watch", "batch", "hook"),
  calls: fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 3 }),
  url: fc.nat({ max: 3 }),
  signingSecret: fc.constantFrom(null, null, null, givenSecret),
  key: fc.constantFrom(null, null, null, "a", "b"),
  answerThrows: fc.boolean(),
});
const wave = fc.record({
  fault: fc.constantFrom<Fault>("none", "none", "none", "refused", "answer_lost"),
  requests: fc.array(request, { minLength: 1, maxLength: 4 }),
});

async function run({ registrar, account }: RegistrarWorld, given: typeof request extends fc.Arbitrary<infer T> ? T : never) {
  const { kind, calls, url, signingSecret, key, answerThrows } = given;
  const keyed = <Outcome>(path: string): KeyedRequest<Outcome> | null =>
    key === null
      ? null
      : {
          request: { accountId: account.id, method: "POST", path, key, bodyHash: JSON.stringify([kind, calls, url]) },
          answerOf: (outcome) => {
            if (answerThrows) throw new Error("no answer can be drafted");
            return { status: 201, contentType: "application/json", body: JSON.stringify(outcome) };
          },
        };
  switch (kind) {
    case "watch":
      return registrar.registerWatch(account, watchRequest(`OUT-${calls[0]}`, url, signingSecret), keyed("/v1/watches"), commandLine);
    case "batch": {
      const requests = calls.map((call, index) => watchRequest(`OUT-${call}`, (url + (index >> 1)) % 4, signingSecret));
      return registrar.registerBatch(account, requests, keyed("/v1/watches/batch"), commandLine);
    }
    default:
      return registrar.registerHook(
        account,
        { ...endpointFields, url: urlOf(url), urlKey: "url", signingSecret },
        keyed("/v1/hooks"),
        commandLine,
      );
  }
}

test("no secret of a stored endpoint, a stored answer or an unknown outcome is ever drafted again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(wave, { maxLength: 8 }), async (waves) => {
      const one = await RegistrarWorld.open();
      const shown = new Map<string, string>();
      for (const { fault, requests } of waves) {
        one.fault = fault;
        const settled = await Promise.allSettled(requests.map((given) => run(one, given)));
        for (const end of settled) {
          if (end.status === "rejected" && !/refused|answer/.test(String(end.reason))) throw end.reason;
          const outcomes = end.status === "rejected" ? [] : end.value.kind === "batch" ? end.value.outcomes : [end.value];
          for (const outcome of outcomes) {
            if (outcome.kind !== "created") continue;
            const secret = "secret" in outcome ? outcome.secret : outcome.signingSecret;
            const endpointId = "watch" in outcome.view ? outcome.view.endpoint?.id : outcome.view.endpoint.id;
            if (secret === null || endpointId === undefined) continue;
            expect(shown.has(secret)).toBe(false);
            shown.set(secret, endpointId);
          }
        }
      }
      expect(new Set(shown.values()).size).toBe(shown.size);
    }),
    { numRuns: 60 },
  );
});

test("the secret of a draft whose endpoint existed is the next draft's", async () => {
  const one = await RegistrarWorld.open();
  for (const callSid of ["OUT-1", "OUT-2", "OUT-3"]) await register(one, callSid);
  await register(one, "OUT-4", 2);
  const [first, second, third, fourth] = one.drafted;
  expect(second).not.toBe(first);
  expect([third, fourth]).toEqual([second, second]);
  expect([...one.stored]).toEqual([first, second]);
});

test("drafts of a batch with one URL share a secret, which is spare once all of them have left it", async () => {
  const one = await RegistrarWorld.open();
  const batch = (sids: readonly string[], url: number) =>
    one.registrar.registerBatch(
      one.account,
      sids.map((sid) => watchRequest(sid, url)),
      null,
      commandLine,
    );
  await batch(["OUT-1", "OUT-2"], 1);
  await batch(["OUT-3", "OUT-4"], 1);
  await batch(["OUT-4", "OUT-5"], 1);
  await register(one, "OUT-6");
  const [created, , spare] = one.drafted;
  expect(one.drafted.slice(0, 6)).toEqual([created, created, spare, spare, spare, spare]);
  expect([...one.stored]).toEqual([created]);
  // The watch on OUT-4 existed, which proves nothing of its draft.
  expect(one.drafted.slice(6)).not.toContain(spare);
});

test("a secret that is handed out again opens with its own id alone", () => {
  const pool = new SpareSecrets(secretBox);
  const first = pool.take(startMs);
  pool.keep(first);
  const again = pool.take(startMs + 1000);
  expect(again.draft).toBe(first.draft);
  expect(secretBox.open(again.draft.sealed, associatedData("secret", again.draft.id))).toBe(again.text);
});

test("a secret that is kept twice is handed out once", () => {
  const pool = new SpareSecrets(secretBox);
  const first = pool.take(startMs);
  pool.keep(first);
  const again = pool.take(startMs);
  pool.keep(first);
  expect(pool.take(startMs).text).not.toBe(again.text);
});

test("a spare that another key sealed is dropped", () => {
  const box = createSecretBox([newerKey, olderKey]);
  box.sealFor([[createSecretBox([olderKey]).keyIds[0]]]);
  const pool = new SpareSecrets(box);
  const first = pool.take(startMs);
  pool.keep(first);
  box.sealFor([]);
  const next = pool.take(startMs);
  expect(next.text).not.toBe(first.text);
  expect(next.draft.fingerprints[0]).toMatch(new RegExp(`^${box.keyIds[0]}:`));
});

test("a spare with an id of a former slot is dropped", () => {
  const before = useKeys(new KeySequence(3, -1));
  try {
    const pool = new SpareSecrets(secretBox);
    const first = pool.take(startMs);
    pool.keep(first);
    useKeys(new KeySequence(4, -1));
    expect(pool.take(startMs).draft.id).not.toBe(first.draft.id);
  } finally {
    useKeys(before);
  }
});

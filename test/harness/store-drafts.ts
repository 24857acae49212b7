import { mayNotPlace, placingLeaseMs } from "../../src/domain/calls/placing.ts";
import { filterByNames } from "../../src/domain/events/event-filter.ts";
import { newId } from "../../src/domain/ids.ts";
import type { AttemptOutcome } from "../../src/domain/deliveries/attempt.ts";
import type { CallChange } from "../../src/domain/calls/call.ts";
import type { DeliveryPolicy } from "../../src/domain/deliveries/retry-policy.ts";
import { isTerminalStatus } from "../../src/domain/calls/call-status.ts";
import type { Account } from "../../src/ports/stores/account-store.ts";
import type { CallCommit, CallCommitResult, WatchedCall } from "../../src/ports/stores/call-store.ts";
import type { AttemptRecorded, ClaimRequest, ClaimResult } from "../../src/ports/stores/delivery-store.ts";
import type { IdempotencyClaim } from "../../src/ports/stores/idempotency-store.ts";
import type {
  EndpointDraft,
  HookDraft,
  RegisterHookResult,
  RegisterWatchResult,
  SecretDraft,
  WatchDraft,
} from "../../src/ports/stores/registration-store.ts";
import type { PlacingDraft } from "../../src/ports/stores/placing-store.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import type { ServiceStore } from "../../src/ports/stores/service-store.ts";

export const startMs = Date.UTC(2026, 10, 24, 12);
export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

export const testPolicy: DeliveryPolicy = {
  scheduleMs: [0, 5 * second, 5 * minute, 30 * minute],
  jitterRatio: 0.2,
  orderHoldMs: minute,
  disableAfterMs: 5 * day,
  disableMinAttempts: 10,
  failingAfterMs: hour,
  failingMinAttempts: 3,
  pauseMinMs: 5 * second,
  pauseMaxMs: 5 * minute,
  rateLimitedHosts: [],
};

export const noQuotas = { maxActiveWatches: 0, maxWatchesPerCall: 0, maxEndpoints: 0, maxHooks: 0 };
export const ok: AttemptOutcome = { kind: "answered", statusCode: 200, retryAfter: null, excerpt: "fine" };
export const answered = (statusCode: number, retryAfter: string | null = null): AttemptOutcome => ({
  kind: "answered",
  statusCode,
  retryAfter,
  excerpt: "",
});

export function statusChange(status: string, reason = "", observedAfterMs: number | null = null): CallChange {
  return { kind: "status", status, reason, details: null, terminal: isTerminalStatus(status), observedAfterMs };
}

/** Sealing is not what is tested here: the fingerprint is the value. */
export function secretDraft(value: string, nowMs = startMs): SecretDraft {
  return { id: newId("sec", nowMs), sealed: new TextEncoder().encode(value), fingerprints: [`fingerprint of ${value}`] };
}

function endpointDraft(url: string, given: Partial<EndpointDraft> = {}): EndpointDraft {
  const parsed = new URL(url);
  return {
    id: newId("ep", startMs),
    url: parsed.href,
    origin: `${parsed.protocol}//${parsed.hostname}:${parsed.port || 443}`,
    format: null,
    request: null,
    defaultFormat: "standard",
    late: "send",
    headers: null,
    givenSecret: null,
    generatedSecret: secretDraft(`generated for ${url} ${Math.random()}`),
    ...given,
  };
}

type Created = Extract<RegisterWatchResult, { kind: "created" }>;
type CreatedHook = Extract<RegisterHookResult, { kind: "created" }>;
type Committed = Extract<CallCommitResult, { kind: "committed" }>;
type Recorded = Extract<AttemptRecorded, { kind: "recorded" }>;
/** `events`: the names of the filter, as the API spells it. */
type Wish = { readonly endpoint?: Partial<EndpointDraft>; readonly events?: readonly string[] | null };
export type WatchWish = Partial<Omit<WatchDraft, "endpoint">> & Wish & { readonly url?: string | null };
export type HookWish = Partial<Omit<HookDraft, "endpoint">> & Wish;

/** An intent to place a call on the source `default`. */
export function placingDraft(accountId: string, nowMs: number, given: Partial<PlacingDraft> = {}): PlacingDraft {
  const id = newId("plc", nowMs);
  return {
    id,
    accountId,
    sourceName: "default",
    idempotencyKey: `key of ${id}`,
    keyHash: `hash of ${id}`,
    callHash: "call",
    metadata: { lead: "1" },
    sealedRequest: new TextEncoder().encode("12345678watch"),
    leaseUntilMs: nowMs + placingLeaseMs,
    endpoint: endpointDraft("https://receiver.example/hook"),
    needsHook: false,
    quotas: noQuotas,
    limits: null,
    isCheckOnly: false,
    nowMs,
    ...given,
  };
}

/** A store with a time that the test moves, and short calls for what happens to it. */
export class StoreWorld {
  store: ServiceStore;
  nowMs = startMs;
  readonly #calls = new Map<string, WatchedCall>();
  #account: Account | null = null;

  constructor(store: ServiceStore) {
    this.store = store;
  }

  pass(ms: number): number {
    this.nowMs += ms;
    return this.nowMs;
  }

  async account(name = "default"): Promise<Account> {
    if (name === "default" && this.#account !== null) return this.#account;
    const account = await this.store.ensureAccount({
      id: newId("acc", this.nowMs),
      name,
      usesDefaultSource: true,
      sealedSigningKey: new Uint8Array([1, 2, 3]),
      publicKey: `whpk_${name}`,
      placing: mayNotPlace,
      disabledAtMs: null,
      disablings: 0,
      createdAtMs: this.nowMs,
    });
    if (name === "default") this.#account = account;
    return account;
  }

  async watchDraft(callSid: string, wish: WatchWish = {}): Promise<WatchDraft> {
    const { url = "https://receiver.example/hook", endpoint, events = null, ...rest } = wish;
    return {
      id: newId("wch", this.nowMs),
      accountId: wish.accountId ?? (await this.account()).id,
      sourceName: "default",
      scope: "",
      callSid,
      callId: newId("call", this.nowMs),
      endpoint: url === null ? null : endpointDraft(url, endpoint),
      filter: filterByNames(events),
      metadata: {},
      trace: null,
      expiresAtMs: this.nowMs + day,
      nowMs: this.nowMs,
      polledAtMs: null,
      needsHook: false,
      restartsEndedCall: false,
      by: null,
      placing: null,
      quotas: noQuotas,
      ...rest,
    };
  }

  async register(callSid: string, wish: WatchWish = {}): Promise<RegisterWatchResult> {
    const [result] = await this.store.registerWatches([await this.watchDraft(callSid, wish)]);
    if (result === undefined) throw new Error("one draft has one result");
    if (result.kind === "created" && result.call !== null) this.#calls.set(callSid, result.call);
    return result;
  }

  async watch(callSid: string, wish: WatchWish = {}): Promise<Created> {
    return expectKind(await this.register(callSid, wish), "created");
  }

  async hook(url: string, wish: HookWish = {}): Promise<CreatedHook> {
    return expectKind(await this.registerHook(url, wish), "created");
  }

  async registerHook(url: string, { endpoint, events = null, ...wish }: HookWish = {}): Promise<RegisterHookResult> {
    return this.store.registerHook({
      by: null,
      id: newId("hk", this.nowMs),
      accountId: (await this.account()).id,
      endpoint: endpointDraft(url, { defaultFormat: "flat", late: "drop", ...endpoint }),
      filter: filterByNames(events),
      nowMs: this.nowMs,
      quotas: noQuotas,
      ...wish,
    });
  }

  /** The call as the last registration or commit returned it. */
  call(callSid: string): WatchedCall {
    const call = this.#calls.get(callSid);
    if (call === undefined) throw new Error(`${callSid} is not watched`);
    return call;
  }

  commitOf(callSid: string, changes: readonly CallChange[], given: Partial<CallCommit> = {}): CallCommit {
    const { callId, accountId, version } = this.call(callSid);
    return {
      callId,
      accountId,
      expectedVersion: version,
      nowMs: this.nowMs,
      lastGoodPollAtMs: this.nowMs,
      confirmed: true,
      changes,
      ...given,
    };
  }

  async commit(callSid: string, changes: readonly CallChange[], given: Partial<CallCommit> = {}): Promise<Committed> {
    const committed = expectKind(await this.store.commitCall(this.commitOf(callSid, changes, given)), "committed");
    if (committed.call !== null) this.#calls.set(callSid, committed.call);
    return committed;
  }

  /** Writes the next portion of an unfinished commit. */
  async portion(callSid: string): Promise<Committed> {
    const { callId, accountId, version: expectedVersion } = this.call(callSid);
    const request = { callId, accountId, expectedVersion, nowMs: this.nowMs };
    const committed = expectKind(await this.store.commitPortion(request), "committed");
    if (committed.call !== null) this.#calls.set(callSid, committed.call);
    return committed;
  }

  /** The call as the store has it, for a poller that starts. */
  async load(callSid: string): Promise<WatchedCall> {
    const call = (await this.store.loadWatchedCalls({ afterCallId: null, limit: 1000 })).find((one) => one.callSid === callSid);
    if (call === undefined) throw new Error(`${callSid} is not watched`);
    this.#calls.set(callSid, call);
    return call;
  }

  /** A poll saw another status. */
  async see(callSid: string, status: string, reason = ""): Promise<Committed> {
    return this.commit(callSid, [statusChange(status, reason)]);
  }

  async claim(given: Partial<ClaimRequest> = {}): Promise<ClaimResult> {
    return this.store.claimDue({
      nowMs: this.nowMs,
      limit: 100,
      failingLimit: 50,
      defaultCapacity: 4,
      capacityByEndpoint: [],
      capacityByHost: [],
      ...given,
    });
  }

  async attempt(job: SendJob, outcome: AttemptOutcome = ok): Promise<AttemptRecorded> {
    return this.store.recordAttempt({
      deliveryId: job.deliveryId,
      accountId: job.event.accountId,
      leaseToken: job.leaseToken,
      attemptNumber: job.attemptNumber,
      mode: job.mode,
      startedAtMs: this.nowMs,
      durationMs: 12.5,
      outcome,
      nowMs: this.nowMs,
      jitter: 0,
    });
  }

  async record(job: SendJob, outcome: AttemptOutcome = ok): Promise<Recorded> {
    return expectKind(await this.attempt(job, outcome), "recorded");
  }

  /** Gives leases back unspent. */
  async release(jobs: readonly SendJob[]): Promise<void> {
    await this.store.releaseDeliveries(jobs, this.nowMs);
  }

  /** Sends until nothing is due; the jobs in the order they were sent. */
  async drain(outcome: AttemptOutcome = ok): Promise<readonly SendJob[]> {
    const sent: SendJob[] = [];
    for (;;) {
      const { jobs } = await this.claim({ limit: 1 });
      const [job] = jobs;
      if (job === undefined) return sent;
      await this.record(job, outcome);
      sent.push(job);
    }
  }

  async deliveryOf(job: Pick<SendJob, "deliveryId">) {
    const found = await this.store.getDelivery((await this.account()).id, job.deliveryId);
    if (found === null) throw new Error(`no delivery ${job.deliveryId}`);
    return found;
  }
}

export function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length !== 1) throw new Error(`expected one, got ${items.length}`);
  return item;
}

/** A use of a key, for the same request and without a limit unless given. */
export function claimWith(
  given: Pick<IdempotencyClaim, "id" | "accountId" | "nowMs" | "expiresAtMs"> & Partial<IdempotencyClaim>,
): IdempotencyClaim {
  return { requestHash: "hash", maxStoredBytes: 0, hasOwnRoom: false, ...given };
}

export function expectKind<T extends { readonly kind: string }, K extends T["kind"]>(value: T, kind: K): Extract<T, { readonly kind: K }> {
  if (value.kind !== kind) throw new Error(`expected ${kind}, got ${JSON.stringify(value)}`);
  return value as Extract<T, { readonly kind: K }>;
}

export const typesOf = (jobs: readonly SendJob[]): readonly string[] => jobs.map((job) => job.event.type);

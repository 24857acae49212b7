import { isAccepted } from "../../domain/deliveries/attempt.ts";
import type { AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SendTarget } from "../../ports/stores/send-job.ts";
import { AdaptiveConcurrency, startLimit } from "./adaptive-concurrency.ts";
import { TokenBucket } from "../../domain/token-bucket.ts";

export type DeliveryLimitsOptions = {
  readonly clock: Clock;
  readonly maxInFlight: number;
  readonly endpointMaxInFlight: number;
  readonly hostMaxInFlight: number;
  /** Host name to webhooks a second, over all accounts. */
  readonly hostRateLimits: ReadonlyMap<string, number>;
};

type Gate = { readonly limit: AdaptiveConcurrency; buffered: number; usedAtMonotonicMs: number };
type EndpointGate = Gate & { rate: TokenBucket | null; failing: boolean };
type HostGate = Gate & { readonly rate: TokenBucket | null };

/** What is allowed in at one moment, for a claim. */
export type DeliveryCapacity = {
  readonly total: number;
  readonly failing: number;
  readonly byEndpoint: readonly (readonly [endpointId: string, available: number])[];
  readonly byHost: readonly (readonly [hostKey: string, available: number])[];
  /** When a rate that has run out gives its next token; null: none has. */
  readonly nextTokenInMs: number | null;
};

/** An exchange that was let in; give it to `leave`. */
export type DeliveryPermit = { readonly endpointId: string; readonly hostKey: string; readonly failing: boolean };

/** Gates forget whom they have not seen for so long; whoever comes back starts as its failures say. */
const evictAfterMs = 60_000;

/**
 * Limits in flight and rates, in memory: per endpoint, per (account, origin), for failing endpoints together (half of
 * all) and for everything. Pauses are the store's, which does not hand out what is paused. As many as may run may also
 * wait in memory, so that the next are at hand; a failing endpoint's do not, and what waits takes nobody's place.
 */
export class DeliveryLimits {
  readonly #options: DeliveryLimitsOptions;
  readonly #endpoints = new Map<string, EndpointGate>();
  readonly #hosts = new Map<string, HostGate>();
  readonly #hostRates: ReadonlyMap<string, TokenBucket>;
  #inFlight = 0;
  #failing = 0;
  #buffered = 0;
  #instances = 1;

  constructor(options: DeliveryLimitsOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#hostRates = new Map([...options.hostRateLimits].map(([host, rate]) => [host, new TokenBucket(rate, nowMs)]));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** No exchange with anybody may start; for failing endpoints: none with any of those. */
  isFull(failing: boolean): boolean {
    return this.#inFlight >= this.#options.maxInFlight || (failing && this.#failing >= this.#maxFailing);
  }

  /** So many instances send: each may have its part of every rate. */
  setInstances(count: number): void {
    if (count === this.#instances) return;
    this.#instances = count;
    const nowMs = this.#options.clock.monotonicMs();
    for (const [host, rate] of this.#hostRates) rate.setRate((this.#options.hostRateLimits.get(host) ?? Infinity) / count, nowMs);
  }

  /** Lets an exchange start if every limit allows it. `manual` ones are counted but never refused. */
  acquire(target: SendTarget, mode: "scheduled" | "manual"): DeliveryPermit | null {
    const endpoint = this.#endpointOf(target);
    const host = this.#hostOf(target);
    const nowMs = this.#options.clock.monotonicMs();
    const failing = isFailing(target);
    if (mode === "scheduled") {
      const full = this.isFull(failing) || endpoint.limit.available === 0 || host.limit.available === 0;
      if (full || tokenInMs(nowMs, endpoint, host) > 0) return null;
    }
    for (const { rate } of [endpoint, host]) rate?.take(nowMs);
    endpoint.limit.acquire();
    host.limit.acquire();
    this.#inFlight += 1;
    if (failing) this.#failing += 1;
    return { endpointId: target.id, hostKey: hostKeyOf(target), failing };
  }

  release(permit: DeliveryPermit, outcome: AttemptOutcome | null): void {
    const result = outcome === null ? "neither" : isAccepted(outcome) ? "success" : "failure";
    this.#endpoints.get(permit.endpointId)?.limit.release(result);
    this.#hosts.get(permit.hostKey)?.limit.release(result === "failure" && !isHostTrouble(outcome) ? "neither" : result);
    this.#inFlight -= 1;
    if (permit.failing) this.#failing -= 1;
  }

  /** Lets a job that found no room wait in memory; false: as many wait as may. */
  reserveBuffer(target: SendTarget): boolean {
    const endpoint = this.#endpointOf(target);
    const host = this.#hostOf(target);
    if (this.#bufferCapacity(endpoint) === 0 || this.#bufferCapacity(host) === 0) return false;
    for (const gate of [endpoint, host]) gate.buffered += 1;
    this.#buffered += 1;
    return true;
  }

  /** It waits no more. */
  freeBuffer(target: SendTarget): void {
    for (const gate of [this.#endpoints.get(target.id), this.#hosts.get(hostKeyOf(target))]) if (gate !== undefined) gate.buffered -= 1;
    this.#buffered -= 1;
  }

  /** How long until the rates of endpoint and host both have a token; 0: now. */
  tokenInMs(target: SendTarget): number {
    return tokenInMs(this.#options.clock.monotonicMs(), this.#endpointOf(target), this.#hostOf(target));
  }

  capacity(): DeliveryCapacity {
    const nowMs = this.#options.clock.monotonicMs();
    this.#evictIdle(nowMs);
    let nextTokenInMs: number | null = null;
    const availableIn = (gate: EndpointGate | HostGate): number => {
      const waitMs = tokenInMs(nowMs, gate);
      if (waitMs === 0) return gate.limit.available + this.#bufferCapacity(gate);
      nextTokenInMs = Math.min(nextTokenInMs ?? Infinity, waitMs);
      return 0;
    };
    const byEndpoint = [...this.#endpoints].map(([endpointId, gate]): [string, number] => [endpointId, availableIn(gate)]);
    const byHost = [...this.#hosts].map(([hostKey, gate]): [string, number] => [hostKey, availableIn(gate)]);
    const total = Math.max(0, this.#options.maxInFlight - this.#inFlight);
    return { total, failing: Math.max(0, Math.min(total, this.#maxFailing - this.#failing)), byEndpoint, byHost, nextTokenInMs };
  }

  get #maxFailing(): number {
    return Math.floor(this.#options.maxInFlight / 2);
  }

  #bufferCapacity(gate: EndpointGate | HostGate): number {
    if ("failing" in gate && gate.failing) return 0;
    return Math.max(0, Math.min(this.#options.maxInFlight - this.#buffered, gate.limit.limit - gate.buffered));
  }

  #endpointOf(target: SendTarget): EndpointGate {
    const nowMs = this.#options.clock.monotonicMs();
    const maxInFlight = Math.min(target.maxInFlight ?? this.#options.endpointMaxInFlight, this.#options.maxInFlight);
    let gate = this.#endpoints.get(target.id);
    if (gate === undefined) {
      const limit = new AdaptiveConcurrency(maxInFlight, target.health.consecutiveFailures);
      gate = { limit, rate: null, buffered: 0, failing: false, usedAtMonotonicMs: nowMs };
      this.#endpoints.set(target.id, gate);
    }
    gate.usedAtMonotonicMs = nowMs;
    gate.failing = isFailing(target);
    gate.limit.setMax(maxInFlight);
    const ratePerSecond = target.maxPerSecond === null ? null : target.maxPerSecond / this.#instances;
    if (ratePerSecond === null) gate.rate = null;
    else if (gate.rate === null) gate.rate = new TokenBucket(ratePerSecond, nowMs);
    else if (gate.rate.ratePerSecond !== ratePerSecond) gate.rate.setRate(ratePerSecond, nowMs);
    return gate;
  }

  #hostOf(target: SendTarget): HostGate {
    const hostKey = hostKeyOf(target);
    let gate = this.#hosts.get(hostKey);
    if (gate === undefined) {
      const limit = new AdaptiveConcurrency(this.#options.hostMaxInFlight);
      gate = { limit, rate: this.#hostRates.get(hostNameOf(target)) ?? null, buffered: 0, usedAtMonotonicMs: 0 };
      this.#hosts.set(hostKey, gate);
    }
    gate.usedAtMonotonicMs = this.#options.clock.monotonicMs();
    return gate;
  }

  /** Callback URLs are often used once: what is idle is dropped. */
  #evictIdle(nowMs: number): void {
    for (const limits of [this.#endpoints, this.#hosts] as readonly Map<string, EndpointGate | HostGate>[])
      for (const [key, gate] of limits)
        if (gate.limit.isIdle && gate.buffered === 0 && this.#mayEvict(gate, limits.size, nowMs)) limits.delete(key);
  }

  /** A crowd of strangers is forgotten at once: they are as good as new. One whose rate has run out is not. */
  #mayEvict(gate: EndpointGate | HostGate, count: number, nowMs: number): boolean {
    const learntNothing = gate.limit.limit <= startLimit + 1 && tokenInMs(nowMs, gate) === 0;
    return nowMs - gate.usedAtMonotonicMs > evictAfterMs || (count > 2 * this.#options.maxInFlight && learntNothing);
  }
}

/** Names the limit and the pause that an account's endpoints on one origin share. */
export function hostKeyOf(target: Pick<SendTarget, "accountId" | "origin">): string {
  return `${target.accountId} ${target.origin}`;
}

/** The host alone, as it may be logged. */
export function hostNameOf({ origin }: Pick<SendTarget, "origin">): string {
  return origin.slice(origin.indexOf("//") + 2).replace(/:\d+$/, "");
}

function isFailing(target: SendTarget): boolean {
  return target.health.consecutiveFailures > 0;
}

function tokenInMs(nowMs: number, ...limits: readonly { readonly rate: TokenBucket | null }[]): number {
  return Math.max(0, ...limits.map(({ rate }) => rate?.waitMs(nowMs) ?? 0));
}

/** The host rather than the endpoint is in trouble: it is overloaded or cannot be reached. */
function isHostTrouble(outcome: AttemptOutcome | null): boolean {
  if (outcome === null) return false;
  if (outcome.kind === "answered") return [429, 502, 503, 504].includes(outcome.statusCode);
  return hostTroubles.has(outcome.code);
}

/** Of failures without an answer: timeouts, and faults of the connection from its name to its end. */
const hostTroubles: ReadonlySet<string> = new Set(["timeout", "dns", "connect", "tls", "reset"]);

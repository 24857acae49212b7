import { hostNameOf } from "../../domain/webhooks/http-url.ts";
import { classifyOutcome } from "../../domain/deliveries/response-class.ts";
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
  /** Webhooks per second by host name, over all accounts. */
  readonly hostRateLimits: ReadonlyMap<string, number>;
};

type Limits = { readonly concurrency: AdaptiveConcurrency; buffered: number; usedAtMonotonicMs: number };
type EndpointLimits = Limits & { rate: TokenBucket | null; failing: boolean };
type HostLimits = Limits & { readonly rate: TokenBucket | null };

/** Number of jobs that a claim may take. */
export type DeliveryCapacity = {
  readonly total: number;
  readonly failing: number;
  readonly byEndpoint: readonly (readonly [endpointId: string, available: number])[];
  readonly byHost: readonly (readonly [hostKey: string, available: number])[];
  /** Time until the next token of an exhausted rate; `null` if no rate is exhausted. */
  readonly nextTokenInMs: number | null;
};

/** Permission for one exchange, to be passed to `release`. A manual exchange counts for its endpoint and host alone: in all it has a budget of its own. */
export type DeliveryPermit = {
  readonly endpointId: string;
  readonly hostKey: string;
  readonly failing: boolean;
  readonly mode: "scheduled" | "manual";
};

/**
 * Time whose tokens a rate saves up. A receiver that counts by seconds gets at most a fiftieth more than the rate in any of
 * them, and none more up to 50 a second. Timers that are late by less lose no token.
 */
const rateBurstMs = 20;
/** Limits of idle endpoints are dropped after this time, and rebuilt from the endpoint's failures when it is used again. */
const evictAfterMs = 60_000;

/**
 * Limits on exchanges in flight and their rates: per endpoint, per (account, origin), for all failing endpoints together
 * (half of the total) and in total. Pauses are enforced by the store, which does not hand out paused deliveries. A receiver
 * may have as many jobs buffered in memory as in flight, unless it is failing; buffered jobs occupy no slot in flight.
 */
export class DeliveryLimits {
  readonly #options: DeliveryLimitsOptions;
  readonly #endpoints = new Map<string, EndpointLimits>();
  readonly #hosts = new Map<string, HostLimits>();
  readonly #hostRates: ReadonlyMap<string, TokenBucket>;
  #inFlight = 0;
  #failing = 0;
  #buffered = 0;
  #instances = 1;

  constructor(options: DeliveryLimitsOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#hostRates = new Map([...options.hostRateLimits].map(([host, rate]) => [host, new TokenBucket(rate, nowMs, rateBurstMs)]));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether no exchange may start. With `failing`: whether none may start with a failing endpoint. */
  isFull(failing: boolean): boolean {
    return this.#inFlight >= this.#options.maxInFlight || (failing && this.#failing >= this.#maxFailing);
  }

  /** Sets the number of instances, among which every rate is divided. */
  setInstances(count: number): void {
    if (count === this.#instances) return;
    this.#instances = count;
    const nowMs = this.#options.clock.monotonicMs();
    for (const [host, rate] of this.#hostRates) rate.setRate((this.#options.hostRateLimits.get(host) ?? Infinity) / count, nowMs);
  }

  /** Applies changed limits of an endpoint that is in use. */
  update(target: SendTarget): void {
    if (this.#endpoints.has(target.id)) this.#endpointOf(target);
  }

  /**
   * Takes a token of the rates of endpoint and host for a manual exchange, and returns the time until it may start. Scheduled
   * exchanges wait behind it. No limit in flight refuses it.
   */
  reserveManual(target: SendTarget): { readonly permit: DeliveryPermit; readonly waitMs: number } {
    const nowMs = this.#options.clock.monotonicMs();
    const limits = [this.#endpointOf(target), this.#hostOf(target)];
    const waits = limits.map(({ rate }) => rate?.reserve(nowMs) ?? 0);
    for (const { concurrency } of limits) concurrency.acquire();
    const permit = { endpointId: target.id, hostKey: hostKeyOf(target), failing: isFailing(target), mode: "manual" } as const;
    return { permit, waitMs: Math.max(...waits) };
  }

  /** Admits a scheduled exchange; `null` if a limit does not allow it. */
  acquire(target: SendTarget): DeliveryPermit | null {
    const endpoint = this.#endpointOf(target);
    const host = this.#hostOf(target);
    const nowMs = this.#options.clock.monotonicMs();
    const failing = isFailing(target);
    const full = this.isFull(failing) || endpoint.concurrency.available === 0 || host.concurrency.available === 0;
    if (full || tokenInMs(nowMs, endpoint, host) > 0) return null;
    for (const { rate } of [endpoint, host]) rate?.take(nowMs);
    endpoint.concurrency.acquire();
    host.concurrency.acquire();
    this.#inFlight += 1;
    if (failing) this.#failing += 1;
    return { endpointId: target.id, hostKey: hostKeyOf(target), failing, mode: "scheduled" };
  }

  release(permit: DeliveryPermit, outcome: AttemptOutcome | null): void {
    const responseClass = outcome === null ? null : classifyOutcome(outcome, null);
    const result = responseClass === null ? "neither" : responseClass.kind === "delivered" ? "success" : "failure";
    this.#endpoints.get(permit.endpointId)?.concurrency.release(result);
    this.#hosts.get(permit.hostKey)?.concurrency.release(result === "failure" && responseClass?.slowsHost !== true ? "neither" : result);
    if (permit.mode === "manual") return;
    this.#inFlight -= 1;
    if (permit.failing) this.#failing -= 1;
  }

  /** Reserves a place in the job buffer; false if the buffer is full for this endpoint or host. */
  reserveBuffer(target: SendTarget): boolean {
    const endpoint = this.#endpointOf(target);
    const host = this.#hostOf(target);
    if (this.#bufferCapacity(endpoint) === 0 || this.#bufferCapacity(host) === 0) return false;
    for (const limits of [endpoint, host]) limits.buffered += 1;
    this.#buffered += 1;
    return true;
  }

  /** Frees a place in the job buffer. */
  freeBuffer(target: SendTarget): void {
    for (const limits of [this.#endpoints.get(target.id), this.#hosts.get(hostKeyOf(target))])
      if (limits !== undefined) limits.buffered -= 1;
    this.#buffered -= 1;
  }

  /** Returns the time until the rates of endpoint and host both have a token; 0 if they have one now. */
  tokenInMs(target: SendTarget): number {
    return tokenInMs(this.#options.clock.monotonicMs(), this.#endpointOf(target), this.#hostOf(target));
  }

  capacity(): DeliveryCapacity {
    const nowMs = this.#options.clock.monotonicMs();
    this.#evictIdle(nowMs);
    let nextTokenInMs: number | null = null;
    const availableIn = (limits: EndpointLimits | HostLimits): number => {
      const waitMs = tokenInMs(nowMs, limits);
      if (waitMs === 0) return limits.concurrency.available + this.#bufferCapacity(limits);
      nextTokenInMs = Math.min(nextTokenInMs ?? Infinity, waitMs);
      return 0;
    };
    const byEndpoint = [...this.#endpoints].map(([endpointId, limits]): [string, number] => [endpointId, availableIn(limits)]);
    const byHost = [...this.#hosts].map(([hostKey, limits]): [string, number] => [hostKey, availableIn(limits)]);
    const total = Math.max(0, this.#options.maxInFlight - this.#inFlight);
    return { total, failing: Math.max(0, Math.min(total, this.#maxFailing - this.#failing)), byEndpoint, byHost, nextTokenInMs };
  }

  get #maxFailing(): number {
    return Math.floor(this.#options.maxInFlight / 2);
  }

  #bufferCapacity(limits: EndpointLimits | HostLimits): number {
    if ("failing" in limits && limits.failing) return 0;
    return Math.max(0, Math.min(this.#options.maxInFlight - this.#buffered, limits.concurrency.limit - limits.buffered));
  }

  #endpointOf(target: SendTarget): EndpointLimits {
    const nowMs = this.#options.clock.monotonicMs();
    const maxInFlight = Math.min(target.maxInFlight ?? this.#options.endpointMaxInFlight, this.#options.maxInFlight);
    let limits = this.#endpoints.get(target.id);
    if (limits === undefined) {
      const concurrency = new AdaptiveConcurrency(maxInFlight, target.health.consecutiveFailures);
      limits = { concurrency, rate: null, buffered: 0, failing: false, usedAtMonotonicMs: nowMs };
      this.#endpoints.set(target.id, limits);
    }
    limits.usedAtMonotonicMs = nowMs;
    limits.failing = isFailing(target);
    limits.concurrency.setMax(maxInFlight);
    const ratePerSecond = target.maxPerSecond === null ? null : target.maxPerSecond / this.#instances;
    if (ratePerSecond === null) limits.rate = null;
    else if (limits.rate === null) limits.rate = new TokenBucket(ratePerSecond, nowMs, rateBurstMs);
    else if (limits.rate.ratePerSecond !== ratePerSecond) limits.rate.setRate(ratePerSecond, nowMs);
    return limits;
  }

  #hostOf(target: SendTarget): HostLimits {
    const hostKey = hostKeyOf(target);
    let limits = this.#hosts.get(hostKey);
    if (limits === undefined) {
      const concurrency = new AdaptiveConcurrency(this.#options.hostMaxInFlight);
      limits = { concurrency, rate: this.#hostRates.get(hostNameOf(target.origin)) ?? null, buffered: 0, usedAtMonotonicMs: 0 };
      this.#hosts.set(hostKey, limits);
    }
    limits.usedAtMonotonicMs = this.#options.clock.monotonicMs();
    return limits;
  }

  /** Drops idle limits, because callback URLs are often used once. */
  #evictIdle(nowMs: number): void {
    for (const byKey of [this.#endpoints, this.#hosts] as readonly Map<string, EndpointLimits | HostLimits>[])
      for (const [key, limits] of byKey)
        if (limits.concurrency.isIdle && limits.buffered === 0 && this.#mayEvict(limits, byKey.size, nowMs)) byKey.delete(key);
  }

  /** Whether to drop an idle limit: after some time, or at once if there are many limits and this one equals a new one. */
  #mayEvict(limits: EndpointLimits | HostLimits, count: number, nowMs: number): boolean {
    const isAsNew = limits.concurrency.limit <= startLimit + 1 && tokenInMs(nowMs, limits) === 0;
    return nowMs - limits.usedAtMonotonicMs > evictAfterMs || (count > 2 * this.#options.maxInFlight && isAsNew);
  }
}

/** Returns the key of the limit and the pause that an account's endpoints on one origin have in common. */
export function hostKeyOf(target: Pick<SendTarget, "accountId" | "origin">): string {
  return `${target.accountId} ${target.origin}`;
}

function isFailing(target: SendTarget): boolean {
  return target.health.consecutiveFailures > 0;
}

function tokenInMs(nowMs: number, ...limits: readonly { readonly rate: TokenBucket | null }[]): number {
  return Math.max(0, ...limits.map(({ rate }) => rate?.waitMs(nowMs) ?? 0));
}

import type { AttemptOutcome } from "../domain/attempt.ts";
import type { Clock } from "../ports/clock.ts";
import type { SendTarget } from "../ports/send-job.ts";
import { InFlightLimit, startLimit } from "./in-flight-limit.ts";
import { TokenBucket } from "./token-bucket.ts";

export type DeliveryGatesOptions = {
  readonly clock: Clock;
  readonly maxInFlight: number;
  readonly endpointMaxInFlight: number;
  readonly hostMaxInFlight: number;
  /** Host name to webhooks a second, over all accounts. */
  readonly hostRateLimits: ReadonlyMap<string, number>;
};

type Gate = { limit: InFlightLimit; usedAtMonotonicMs: number };
type EndpointGate = Gate & { maxInFlight: number; rate: TokenBucket | null; held: number };

/** What is allowed in at one moment, for a claim. */
export type Rooms = {
  readonly total: number;
  readonly failing: number;
  readonly byEndpoint: readonly (readonly [endpointId: string, room: number])[];
  readonly byHost: readonly (readonly [hostKey: string, room: number])[];
  /** When a rate gives its next token to somebody who has none, on the monotonic clock; null: nobody waits for one. */
  readonly nextTokenInMs: number | null;
};

/** An exchange that was let in; give it to `leave`. */
export type Pass = { readonly endpointId: string; readonly hostKey: string; readonly failing: boolean };

/** Gates forget whom they have not seen for so long; whoever comes back starts slowly again. */
const forgetAfterMs = 60_000;

/**
 * Limits in flight and rates, in memory: per endpoint, per (account, origin), for failing endpoints together (half of
 * all) and for everything. Pauses are the store's, which does not hand out what is paused.
 */
export class DeliveryGates {
  readonly #options: DeliveryGatesOptions;
  readonly #endpoints = new Map<string, EndpointGate>();
  readonly #hosts = new Map<string, Gate>();
  readonly #hostRates: ReadonlyMap<string, TokenBucket>;
  #inFlight = 0;
  #failing = 0;
  #held = 0;
  #instances = 1;

  constructor(options: DeliveryGatesOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#hostRates = new Map([...options.hostRateLimits].map(([host, rate]) => [host, new TokenBucket(rate, nowMs)]));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** So many instances send: each may have its part of every rate. */
  setInstances(count: number): void {
    if (count === this.#instances) return;
    this.#instances = count;
    const nowMs = this.#options.clock.monotonicMs();
    for (const [host, rate] of this.#hostRates) rate.setRate((this.#options.hostRateLimits.get(host) ?? Infinity) / count, nowMs);
  }

  /** Lets an exchange start if every limit allows it. `manual` ones are counted but never refused. */
  enter(target: SendTarget, mode: "scheduled" | "manual"): Pass | null {
    const endpoint = this.#endpointOf(target);
    const host = this.#hostOf(hostKeyOf(target));
    const rates = [endpoint.rate, this.#hostRates.get(hostNameOf(target))].filter((rate) => rate !== null && rate !== undefined);
    const nowMs = this.#options.clock.monotonicMs();
    const failing = target.health.consecutiveFailures > 0;
    if (mode === "scheduled") {
      const halfTaken = failing && this.#failing >= this.#maxFailing;
      const full = this.#inFlight >= this.#options.maxInFlight || endpoint.limit.room <= 0 || host.limit.room <= 0;
      if (full || halfTaken || rates.some((rate) => rate.waitMs(nowMs) > 0)) return null;
    }
    for (const rate of rates) rate.take(nowMs);
    endpoint.limit.enter();
    host.limit.enter();
    this.#inFlight += 1;
    if (failing) this.#failing += 1;
    return { endpointId: target.id, hostKey: hostKeyOf(target), failing };
  }

  leave(pass: Pass, outcome: AttemptOutcome | null): void {
    const succeeded = outcome?.kind === "answered" && outcome.statusCode >= 200 && outcome.statusCode <= 299;
    const result = outcome === null ? "neither" : succeeded ? "success" : "failure";
    this.#endpoints.get(pass.endpointId)?.limit.leave(result);
    this.#hosts.get(pass.hostKey)?.limit.leave(result === "failure" && !isHostTrouble(outcome) ? "neither" : result);
    this.#inFlight -= 1;
    if (pass.failing) this.#failing -= 1;
  }

  /** Counts a job that waits in memory for room at its endpoint. */
  hold(endpointId: string, delta: 1 | -1): void {
    this.#held += delta;
    const endpoint = this.#endpoints.get(endpointId);
    if (endpoint !== undefined) endpoint.held += delta;
  }

  /** How many may wait in memory for this endpoint: as many as may run, so that the next are at hand. */
  holdRoom(endpointId: string): number {
    const endpoint = this.#endpoints.get(endpointId);
    return Math.min(this.#options.maxInFlight - this.#held, endpoint === undefined ? 0 : endpoint.limit.limit - endpoint.held);
  }

  rooms(): Rooms {
    const nowMs = this.#options.clock.monotonicMs();
    this.#forgetIdle(nowMs);
    let nextTokenInMs: number | null = null;
    const byEndpoint: [string, number][] = [];
    for (const [endpointId, gate] of this.#endpoints) {
      const tokenInMs = gate.rate?.waitMs(nowMs) ?? 0;
      if (tokenInMs > 0) nextTokenInMs = Math.min(nextTokenInMs ?? Infinity, tokenInMs);
      byEndpoint.push([endpointId, tokenInMs > 0 ? 0 : Math.max(0, gate.limit.room + gate.limit.limit - gate.held)]);
    }
    const byHost: [string, number][] = [];
    for (const [hostKey, gate] of this.#hosts) {
      const tokenInMs = this.#hostRates.get(hostNameOf({ origin: hostKey.split(" ")[1] ?? "" }))?.waitMs(nowMs) ?? 0;
      if (tokenInMs > 0) nextTokenInMs = Math.min(nextTokenInMs ?? Infinity, tokenInMs);
      byHost.push([hostKey, tokenInMs > 0 ? 0 : Math.max(0, gate.limit.room + gate.limit.limit)]);
    }
    const total = Math.max(0, this.#options.maxInFlight - this.#inFlight - this.#held);
    return { total, failing: Math.max(0, Math.min(total, this.#maxFailing - this.#failing)), byEndpoint, byHost, nextTokenInMs };
  }

  get #maxFailing(): number {
    return Math.floor(this.#options.maxInFlight / 2);
  }

  #endpointOf(target: SendTarget): EndpointGate {
    const nowMs = this.#options.clock.monotonicMs();
    const maxInFlight = Math.min(target.maxInFlight ?? this.#options.endpointMaxInFlight, this.#options.maxInFlight);
    const ratePerSecond = target.maxPerSecond === null ? null : target.maxPerSecond / this.#instances;
    let gate = this.#endpoints.get(target.id);
    if (gate === undefined || gate.maxInFlight !== maxInFlight) {
      const limit = new InFlightLimit(maxInFlight);
      // A changed limit begins anew; what is on the wire still counts.
      for (let running = gate?.limit.inFlight ?? 0; running > 0; running--) limit.enter();
      gate = { limit, maxInFlight, rate: gate?.rate ?? null, held: gate?.held ?? 0, usedAtMonotonicMs: nowMs };
      this.#endpoints.set(target.id, gate);
    }
    gate.usedAtMonotonicMs = nowMs;
    if (ratePerSecond === null) gate.rate = null;
    else if (gate.rate === null) gate.rate = new TokenBucket(ratePerSecond, nowMs);
    else if (gate.rate.ratePerSecond !== ratePerSecond) gate.rate.setRate(ratePerSecond, nowMs);
    return gate;
  }

  #hostOf(hostKey: string): Gate {
    let gate = this.#hosts.get(hostKey);
    if (gate === undefined) {
      gate = { limit: new InFlightLimit(this.#options.hostMaxInFlight), usedAtMonotonicMs: 0 };
      this.#hosts.set(hostKey, gate);
    }
    gate.usedAtMonotonicMs = this.#options.clock.monotonicMs();
    return gate;
  }

  /** Callback URLs are often used once: what is idle is dropped, oldest first. */
  #forgetIdle(nowMs: number): void {
    for (const [endpointId, gate] of this.#endpoints)
      if (gate.limit.isIdle && gate.held === 0 && this.#mayForget(gate, this.#endpoints.size, nowMs)) this.#endpoints.delete(endpointId);
    for (const [hostKey, gate] of this.#hosts)
      if (gate.limit.isIdle && this.#mayForget(gate, this.#hosts.size, nowMs)) this.#hosts.delete(hostKey);
  }

  /** A crowd of strangers is forgotten at once: they are as good as new. */
  #mayForget(gate: Gate, count: number, nowMs: number): boolean {
    const learntNothing = gate.limit.limit <= startLimit + 1;
    return nowMs - gate.usedAtMonotonicMs > forgetAfterMs || (count > 2 * this.#options.maxInFlight && learntNothing);
  }
}

function hostKeyOf(target: Pick<SendTarget, "accountId" | "origin">): string {
  return `${target.accountId} ${target.origin}`;
}

/** The host alone, as it may be logged. */
export function hostNameOf({ origin }: Pick<SendTarget, "origin">): string {
  return origin.slice(origin.indexOf("//") + 2).replace(/:\d+$/, "");
}

/** The host rather than the endpoint is in trouble: it is overloaded or cannot be reached. */
function isHostTrouble(outcome: AttemptOutcome | null): boolean {
  if (outcome === null) return false;
  if (outcome.kind === "answered") return [429, 502, 503, 504].includes(outcome.statusCode);
  return outcome.code === "timeout" || outcome.code === "connect" || outcome.code === "reset";
}

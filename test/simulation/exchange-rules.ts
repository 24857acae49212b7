import type { Evidence } from "./evidence.ts";
import { hmacKeyOf, signWebhook } from "./engine-adapter.ts";
import { FailingEndpoints } from "./failing-endpoints.ts";
import { isWanted } from "./ledger.ts";
import type { AttemptContext, KnownDelivery, KnownEndpoint } from "./ledger.ts";
import type { Exchange } from "./receivers.ts";
import type { Lifetime } from "./scheduler.ts";
import { ScheduleReadings, spendsStep } from "./schedule-readings.ts";
import { isSame, readWebhook } from "./webhook-facts.ts";
import type { ReadWebhook } from "./webhook-facts.ts";

/** The least pause after a 429 or 502 to 504, also if the answer asks for less. */
const minPauseMs = 5000;
/** The service reads one clock and writes whole milliseconds. */
const roundingMs = 2;
/** Until the service has noticed a step of the wall clock, and moved what waits; what it writes meanwhile is moved too. */
const clockLookMs = 5000;

/** What a receiver may expect of each try, and of all of them together. */
export class ExchangeRules {
  readonly #evidence: Evidence;
  readonly #open = new Map<Exchange, { readonly endpoint: KnownEndpoint; readonly delivery: KnownDelivery; readonly isManual: boolean }>();

  readonly #failing: FailingEndpoints;
  readonly #schedule: ScheduleReadings;

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    this.#failing = new FailingEndpoints(evidence);
    this.#schedule = new ScheduleReadings(evidence);
  }

  started(exchange: Exchange): void {
    const { ledger, timeline } = this.#evidence;
    const { request } = exchange;
    const webhook = readWebhook(request);
    const { facts } = webhook;
    const endpoint = ledger.endpoints.get(request.url);
    timeline.note(`try ${webhook.id} ${facts["type"] ?? ""} #${facts["sequence"] ?? ""} to ${request.url}`, ...namesOf(exchange, webhook));
    if (endpoint === undefined) return this.#violate("stranger", "a webhook to a URL that was never named", exchange, webhook);
    const delivery = ledger.delivery(webhook.id, request.url, facts);
    this.#checkContent(exchange, webhook, endpoint);
    this.#checkWatch(exchange, webhook);
    const isTest = facts["type"] === "endpoint.test";
    const { lastTakenAtMs, renewedAtMs, openings } = endpoint;
    const context = { lastTakenAtMs, renewedAtMs, isUnknown: openings > 0, isManual: false };
    const fault = isTest ? null : this.#faultOfScheduled(exchange, webhook, endpoint, delivery, context);
    let isManual = isTest;
    delivery.lastTryAtMs = this.#evidence.scheduler.nowMs;
    if (fault !== null)
      if (delivery.manualUsed < delivery.manualAsked) {
        delivery.manualUsed += 1;
        isManual = true;
      } else this.#violate(fault.rule, fault.detail, exchange, webhook);
    if (!isTest) this.#checkTwice(exchange, webhook, delivery);
    delivery.exchanges.push(exchange);
    delivery.contexts.set(exchange, { ...context, isManual });
    endpoint.open.add(exchange);
    this.#open.set(exchange, { endpoint, delivery, isManual });
  }

  ended(exchange: Exchange): void {
    const entry = this.#open.get(exchange);
    const { outcome } = exchange;
    if (entry === undefined || outcome === null) return undefined;
    const { endpoint, delivery } = entry;
    const text =
      outcome.kind === "answered"
        ? `${outcome.statusCode}${outcome.retryAfter === null ? "" : ` retry-after ${outcome.retryAfter}`}`
        : outcome.code;
    this.#evidence.timeline.note(
      `try ${delivery.id} to ${delivery.url} ended: ${text}`,
      delivery.id,
      delivery.facts["watch_id"],
      delivery.url,
      delivery.facts["call_sid"],
    );
    this.#close(exchange, endpoint);
    const nowMs = this.#evidence.scheduler.nowMs;
    // No attempt at all: what comes next is the same attempt, and one on request is still on request.
    if (outcome.kind === "not_started") {
      delivery.exchanges.splice(delivery.exchanges.indexOf(exchange), 1);
      delivery.contexts.delete(exchange);
      if (entry.isManual) delivery.manualUsed = Math.max(0, delivery.manualUsed - 1);
    } else if (delivery.facts["type"] !== "endpoint.test")
      this.#failing.ended(endpoint, exchange, isAnswered2xx(exchange) ? "delivered" : spendsStep(exchange) ? "failed" : "deferred");
    // Of a watch that is purged the attempt is erased too, and with it what the receiver asked for.
    const isPurged = this.#evidence.ledger.watches.get(delivery.facts["watch_id"] ?? "")?.isPurgeAsked ?? false;
    if (outcome.kind !== "answered") return undefined;
    // It may have been written down before the purge.
    if (exchange.isTaken) endpoint.lastTakenAtMs = nowMs;
    if (isPurged) return undefined;
    const { statusCode } = outcome;
    if (statusCode === 410 && delivery.facts["type"] !== "endpoint.test") {
      endpoint.hasEverBeenGone = true;
      endpoint.mayBeDisabled = true;
      if (endpoint.openings === 0) endpoint.gone = { sinceMs: this.#evidence.recordedAtMs(nowMs), exchange };
    }
    // Every such answer begins a pause or makes the running one longer: each is known to ask for at least this much.
    const asksToWait = statusCode === 429 || statusCode === 502 || statusCode === 503 || statusCode === 504;
    if (asksToWait)
      endpoint.floors.push({
        untilMs: nowMs + Math.max(exchange.retryAfterMs ?? 0, minPauseMs),
        sinceMs: this.#evidence.recordedAtMs(nowMs),
        exchange,
      });
    return undefined;
  }

  processEnded(lifetime: Lifetime): void {
    for (const [exchange, { endpoint, delivery }] of this.#open)
      if (exchange.lifetime === lifetime) {
        this.#close(exchange, endpoint);
        // A manual retry survives a crash, so its attempt may be made again.
        delivery.manualUsed = 0;
      }
    for (const delivery of this.#evidence.ledger.deliveries.values()) delivery.manualUsed = 0;
  }

  /** Pauses lie in the store as wall times. */
  followClock(byMs: number): void {
    if (byMs <= 0) return;
    for (const endpoint of this.#evidence.ledger.endpoints.values())
      endpoint.floors = endpoint.floors.map((floor) => ({ ...floor, untilMs: floor.untilMs - byMs }));
  }

  #close(exchange: Exchange, endpoint: KnownEndpoint): void {
    this.#open.delete(exchange);
    endpoint.open.delete(exchange);
  }

  #checkContent(exchange: Exchange, webhook: ReadWebhook, endpoint: KnownEndpoint): void {
    const { ledger } = this.#evidence;
    const { request } = exchange;
    const before = ledger.factsById.get(webhook.id);
    if (before === undefined) ledger.factsById.set(webhook.id, webhook.facts);
    else if (!isSame(before, webhook.facts))
      this.#violate("same id, same facts", `${JSON.stringify(before)} became ${JSON.stringify(webhook.facts)}`, exchange, webhook);
    const bodyKey = `${webhook.id} ${request.url} ${webhook.format}`;
    const body = ledger.bodies.get(bodyKey);
    if (body === undefined) ledger.bodies.set(bodyKey, request.body);
    else if (body !== request.body) this.#violate("same bytes", "another body under the same id", exchange, webhook);
    this.#checkSignature(exchange, webhook, endpoint);
    const { format } = endpoint;
    if (format !== null && !this.#evidence.isShared && !endpoint.isSecretUnknown && webhook.format !== format.name)
      this.#violate("format", `${webhook.format} where the endpoint has been ${format.name}`, exchange, webhook);
  }

  /** The secret of this moment signs, and until the grace ends the one before it too. */
  #checkSignature(exchange: Exchange, webhook: ReadWebhook, endpoint: KnownEndpoint): void {
    const { headers, body } = exchange.request;
    if (endpoint.isSecretUnknown || endpoint.rotations > 0 || endpoint.secrets.length === 0) return;
    const signatures = (headers["webhook-signature"] ?? "").split(" ");
    const timestampSeconds = Number(headers["webhook-timestamp"]);
    const isSignedWith = (secret: string) =>
      signatures.includes(signWebhook({ id: webhook.id, timestampSeconds, body }, { hmac: [hmacKeyOf(secret)], ed25519: null }));
    const nowMs = this.#evidence.scheduler.nowMs;
    const known = endpoint.secrets.filter(({ fromMs }) => fromMs <= nowMs);
    const current = known.at(-1);
    // A known weakness: other instances do not hear of a rotation, and send what they have in memory as it was.
    if (this.#evidence.isShared && known.some(({ secret }) => isSignedWith(secret))) return;
    if (current !== undefined && !isSignedWith(current.secret))
      this.#violate("signature", "not signed with the secret of this moment", exchange, webhook);
    if (Math.abs(timestampSeconds - Math.floor(exchange.startedWallMs / 1000)) > 1)
      this.#violate("signature", `a timestamp ${timestampSeconds} that is not this attempt's`, exchange, webhook);
  }

  #checkWatch(exchange: Exchange, webhook: ReadWebhook): void {
    const watch = this.#evidence.ledger.watches.get(webhook.facts["watch_id"] ?? "");
    if (watch === undefined) return;
    const { scheduler } = this.#evidence;
    const graceMs = this.#evidence.knownElsewhereMs(exchange.lifetime);
    if (watch.deletedAtMs !== null && scheduler.nowMs >= watch.deletedAtMs + graceMs)
      this.#violate("nothing after a 204", "an attempt for a watch that was deleted", exchange, webhook);
    if (watch.sid !== webhook.facts["call_sid"])
      this.#violate("right call", "a webhook about another call than its watch's", exchange, webhook);
  }

  /** A second try while the first is on the wire, or after it was taken and written down. */
  #checkTwice(exchange: Exchange, webhook: ReadWebhook, delivery: KnownDelivery): void {
    const { exchanges } = delivery;
    const isOnTheWire = (other: Exchange) => other.endedAtMs === null && !this.#evidence.isUncertain(other);
    if (exchanges.some(isOnTheWire)) return this.#violate("one at a time", "the same delivery is on the wire twice", exchange, webhook);
    return undefined;
  }

  /** Returns the broken rule if the attempt is a scheduled one; `null` if it breaks none. */
  #faultOfScheduled(
    exchange: Exchange,
    webhook: ReadWebhook,
    endpoint: KnownEndpoint,
    delivery: KnownDelivery,
    context: AttemptContext,
  ): { readonly rule: string; readonly detail: string } | null {
    const nowMs = this.#evidence.scheduler.nowMs;
    if (endpoint.openings > 0) return null;
    if (endpoint.gone !== null && nowMs > endpoint.gone.sinceMs && !this.#evidence.isUncertain(endpoint.gone.exchange))
      return { rule: "nothing after a 410", detail: "an attempt to an endpoint that is gone" };
    const elsewhereMs = this.#evidence.knownElsewhereMs(exchange.lifetime);
    if (endpoint.closed !== null && nowMs >= endpoint.closed.atMs + elsewhereMs)
      return { rule: "owner's pause", detail: "an attempt to an endpoint that its owner paused or disabled" };
    const floor = elsewhereMs === Infinity ? null : this.#floorOf(endpoint, nowMs);
    if (floor !== null) return { rule: "retry-after", detail: `an attempt ${floor} ms before the end of a pause` };
    const inFlight = [...endpoint.open].filter((other) => this.#open.get(other)?.isManual !== true).length;
    // The fake of the leases leaves the limits in flight to each instance.
    if (inFlight >= endpoint.maxInFlight && !this.#evidence.isShared)
      return { rule: "in flight", detail: `${inFlight + 1} at once to an endpoint that may have ${endpoint.maxInFlight}` };
    return this.#scheduleFault(endpoint, delivery, context, nowMs) ?? this.#orderFault(webhook, endpoint, delivery, nowMs);
  }

  #floorOf(endpoint: KnownEndpoint, nowMs: number): number | null {
    endpoint.floors = endpoint.floors.filter(({ untilMs, exchange }) => untilMs > nowMs && !this.#evidence.isUncertain(exchange));
    for (const { untilMs, sinceMs } of endpoint.floors) if (nowMs > sinceMs && nowMs < untilMs - roundingMs) return untilMs - nowMs;
    return null;
  }

  /** Returns the broken rule if the attempt follows one that delivered, or comes before its time. */
  #scheduleFault(endpoint: KnownEndpoint, delivery: KnownDelivery, context: AttemptContext, nowMs: number) {
    const last = delivery.exchanges.findLast((other) => other.startedAtMs > endpoint.renewedAtMs);
    const isWrittenDown = (other: Exchange) =>
      other.endedAtMs !== null && !this.#evidence.isUncertain(other) && nowMs > this.#evidence.recordedAtMs(other.endedAtMs);
    if (last !== undefined && last.isTaken && isAnswered2xx(last) && isWrittenDown(last))
      return { rule: "delivered once", detail: "another attempt after a 2xx that was written down" };
    return this.#schedule.fault(delivery, context);
  }

  /** Events of one watch leave for one endpoint in their sequence, unless an earlier one is settled or has failed for the hold. */
  #orderFault({ facts }: ReadWebhook, endpoint: KnownEndpoint, delivery: KnownDelivery, nowMs: number) {
    const { ledger, limits } = this.#evidence;
    const watch = ledger.watches.get(facts["watch_id"] ?? "");
    const sequence = Number(facts["sequence"]);
    if (watch === undefined || watch.url !== endpoint.url || delivery.exchanges.length > 0) return null;
    const attempted = new Map(ledger.lane(watch.id, endpoint.url).map((other) => [Number(other.facts["sequence"]), other]));
    for (let earlier = 1; earlier < sequence; earlier++) {
      const other = attempted.get(earlier);
      if (other === undefined) {
        if (watch.events === null && !endpoint.hasEverBeenGone && !this.#mayHaveExpired(endpoint, nowMs))
          return { rule: "order", detail: `#${sequence} leaves before #${earlier} was tried` };
        continue;
      }
      const isSettled = other.exchanges.some((exchange) => exchange.isTaken) || this.#schedule.mayBeExhausted(other);
      const firstFailed = other.exchanges.find((exchange) => exchange.endedAtMs !== null && spendsStep(exchange));
      const failedForMs = firstFailed === undefined ? 0 : nowMs - (firstFailed.endedAtMs ?? nowMs);
      const isHeld =
        failedForMs + roundingMs < limits.orderHoldMs && !this.#evidence.hasClockStepSince((firstFailed?.startedAtMs ?? 0) - clockLookMs);
      if (
        !isSettled &&
        isHeld &&
        // An event that expired and was recovered is pending again while the later one is leased.
        !this.#mayHaveExpired(endpoint, nowMs) &&
        other.exchanges.length > 0 &&
        endpoint.renewedAtMs < ((firstFailed ?? other.exchanges[0])?.startedAtMs ?? 0)
      )
        return {
          rule: "order",
          detail: `#${sequence} overtakes #${earlier}, which has been failing for ${failedForMs} ms of ${limits.orderHoldMs}`,
        };
    }
    return null;
  }

  /** Whether the retention may have ended for what a disabled endpoint had pending: a step of the clock ages everything. */
  #mayHaveExpired({ mayBeDisabled, mayBePaused }: KnownEndpoint, nowMs: number): boolean {
    const { clockSteps, limits } = this.#evidence;
    const steppedMs = clockSteps.reduce((sum, { byMs }) => sum + Math.max(0, byMs), 0);
    return (mayBeDisabled || mayBePaused) && nowMs + steppedMs >= limits.retentionMs;
  }

  #violate(rule: string, detail: string, exchange: Exchange, webhook: ReadWebhook): void {
    this.#evidence.violate(rule, detail, ...namesOf(exchange, webhook));
  }
}

/** Events that a watch wants for its own URL; what hooks want is theirs to say. */
export function wantsEvent(events: readonly string[] | null, facts: Readonly<Record<string, string>>): boolean {
  return isWanted(events, facts["type"] ?? "", facts["terminal"] === "true");
}

function namesOf({ request }: Exchange, { id, facts }: ReadWebhook): readonly string[] {
  return [id, facts["watch_id"] ?? "", facts["call_sid"] ?? "", request.url].filter((name) => name !== "");
}

function isAnswered2xx({ outcome }: Exchange): boolean {
  return outcome?.kind === "answered" && outcome.statusCode >= 200 && outcome.statusCode <= 299;
}

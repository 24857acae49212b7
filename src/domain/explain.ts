import { pauseInForce } from "./deliveries/endpoint.ts";
import type { CallProgress, CallStatus } from "./calls/call.ts";
import type { DeliveryState } from "./deliveries/delivery.ts";
import type { Endpoint, EndpointReason, EndpointState } from "./deliveries/endpoint.ts";
import { isoTime } from "./events/payload.ts";
import { maxDeadlineWaitMs } from "./calls/watch.ts";
import type { Watch } from "./calls/watch.ts";

type Pausable = { readonly state: EndpointState; readonly reason: EndpointReason | null; readonly pausedUntilMs: number | null };

export type WatchExplainInput = {
  readonly watch: Pick<Watch, "status" | "endReason" | "expiresAtMs" | "endedAtMs">;
  readonly call: CallStatus;
  readonly endpoint: Pausable | null;
  readonly pendingDeliveries: number;
  readonly progress: Omit<CallProgress, "problemDetail"> | null;
  readonly nowMs: number;
};

/** Returns one sentence that says what a watch waits for, and until when. */
export function explainWatch(input: WatchExplainInput): string {
  const { watch, pendingDeliveries } = input;
  const about = watch.status === "active" ? explainPolling(input) : endingOf(watch);
  if (pendingDeliveries === 0) return about;
  const held = whyHeld(input.endpoint, input.nowMs);
  return `${about}; ${count(pendingDeliveries, "webhook is", "webhooks are")} still pending${held === null ? "" : `, ${held}`}`;
}

export type DeliveryExplainInput = {
  readonly delivery: Pick<DeliveryState, "status" | "attemptCount" | "nextAttemptAtMs" | "settledAtMs">;
  readonly endpoint: Pausable;
  readonly dueAtMs: number | null;
  readonly blockedBySequence: number | null;
  readonly leased: boolean;
  readonly nowMs: number;
};

/** Returns one sentence that says what a delivery waits for and until when, or how it ended. */
export function explainDelivery(input: DeliveryExplainInput): string {
  const { delivery, endpoint, dueAtMs, nowMs } = input;
  const attempts = count(delivery.attemptCount, "attempt", "attempts");
  if (delivery.status !== "pending" && delivery.nextAttemptAtMs !== null)
    return `${delivery.status} after ${attempts}; one manual retry is ${input.leased ? "being made" : "due now"}`;
  switch (delivery.status) {
    case "delivered":
      return `delivered after ${attempts}`;
    case "exhausted":
      return `exhausted after ${attempts}: the retry schedule is used up; retry or recover sends it again`;
    case "failed":
      return `failed for good after ${attempts}; retry or recover sends it again`;
    case "canceled":
      return "canceled: its watch, hook or endpoint is gone";
    case "superseded":
      return "superseded: a later event of the same call was delivered first";
    case "expired":
      return "expired: the endpoint stayed disabled until the retention time ran out";
    case "pending":
      break;
  }
  if (input.leased) return `attempt ${delivery.attemptCount + 1} is being made`;
  const held = whyHeld(endpoint, nowMs);
  if (held !== null && (dueAtMs !== null || endpoint.state !== "enabled")) return `waits ${held}`;
  const earlier = `event ${input.blockedBySequence ?? "before it"} of the same watch, which goes first`;
  if (dueAtMs === null) return `waits for ${earlier}`;
  // A due time after the delivery's own next attempt means that a failing earlier event still blocks it.
  if (dueAtMs > nowMs && dueAtMs > (delivery.nextAttemptAtMs ?? 0))
    return `waits for ${earlier}, but no longer than until ${isoTime(dueAtMs)}`;
  if (dueAtMs > nowMs) return `waits for attempt ${delivery.attemptCount + 1} at ${isoTime(dueAtMs)}`;
  return "is due now and waits for capacity of its endpoint";
}

export type EndpointExplainInput = {
  readonly endpoint: Pick<Endpoint, "state" | "reason" | "sinceMs" | "health">;
  readonly hostPausedUntilMs: number | null;
  readonly backlog: number;
  readonly oldestDueAtMs: number | null;
  readonly nowMs: number;
};

/** Returns one sentence about the pending deliveries and recent failures of an endpoint, and what it waits for. */
export function explainEndpoint(input: EndpointExplainInput): string {
  const { endpoint, backlog, nowMs } = input;
  const pending = backlog === 0 ? "no delivery is pending" : `${count(backlog, "webhook is", "webhooks are")} pending`;
  const pause = pauseInForce(endpoint.health, { pausedUntilMs: input.hostPausedUntilMs, pausedSinceMs: null }, nowMs);
  const pausedBy = pause?.reason === "host" ? "endpoint's host" : "endpoint";
  const held = whyHeld({ state: endpoint.state, reason: endpoint.reason, pausedUntilMs: pause?.untilMs ?? null }, nowMs, pausedBy);
  if (held !== null) return `${pending}; nothing is sent ${held}`;
  const next = input.oldestDueAtMs !== null && input.oldestDueAtMs > nowMs ? `, the next at ${isoTime(input.oldestDueAtMs)}` : "";
  const { consecutiveFailures, failingSinceMs } = endpoint.health;
  if (consecutiveFailures === 0 || failingSinceMs === null) return `${pending}${next}`;
  const failed = consecutiveFailures === 1 ? "the last attempt" : `the last ${consecutiveFailures} attempts`;
  return `${pending}${next}; ${failed} failed, since ${isoTime(failingSinceMs)}`;
}

function explainPolling({ watch, call, progress, nowMs }: WatchExplainInput): string {
  const isOverdue = nowMs >= watch.expiresAtMs;
  const until = `until ${isoTime(isOverdue ? watch.expiresAtMs + maxDeadlineWaitMs : watch.expiresAtMs)}`;
  const lastPoll = "for the poll that ends the watch";
  switch (progress?.problem) {
    case "source_suspended":
      return `waiting for the source, which is suspended, to answer again, then ${isOverdue ? lastPoll : "for the call to go on"}, ${until}`;
    case "upstream_errors":
      return `waiting for the upstream to answer again (polled with backoff)${isOverdue ? `, then ${lastPoll}` : ""}, ${until}`;
    case "not_found_yet":
      if (isOverdue) break;
      return `waiting for the upstream to know the call, ${until}`;
    case "source_slowed":
    case null:
    case undefined:
      break;
  }
  if (isOverdue) return `waiting ${lastPoll}, ${until}`;
  if (call.status === null) return "waiting for the first poll of the call";
  const next = progress?.nextPollAtMs ?? null;
  const poll = next === null || next <= nowMs ? "" : `, next poll at ${isoTime(next)}`;
  return `waiting for the call to leave ${JSON.stringify(call.status)}${poll}, ${until}`;
}

function endingOf(watch: WatchExplainInput["watch"]): string {
  switch (watch.endReason) {
    case "not_found":
      return "ended: the upstream does not know the call";
    case "lost":
      return "ended: the upstream forgot the call before it said how it ended";
    case "rejected":
      return "ended: the upstream refuses the SID";
    case "expired":
      return "ended: the deadline passed before the call ended";
    case "deleted":
      return "canceled: the watch was deleted";
    case "gone":
      return "canceled: the endpoint answered 410";
    case null:
      return "completed: the call has ended";
  }
}

/** Returns until when nothing is sent to an endpoint; `null` if nothing prevents deliveries. */
function whyHeld(endpoint: Pausable | null, nowMs: number, pausedBy = "endpoint"): string | null {
  switch (endpoint?.state) {
    case "disabled":
      return `until the endpoint is enabled again (disabled ${whyDisabled(endpoint.reason)})`;
    case "paused":
      return "until the endpoint's owner ends the pause";
    case "enabled":
      if (endpoint.pausedUntilMs === null || endpoint.pausedUntilMs <= nowMs) return null;
      return `until the ${pausedBy}'s pause ends at ${isoTime(endpoint.pausedUntilMs)}`;
    case undefined:
      return null;
  }
}

function whyDisabled(reason: EndpointReason | null): string {
  if (reason === "gone") return "after a 410";
  return reason === "failing" ? "after nothing but failures" : "by its owner";
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

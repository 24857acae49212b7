import type { CallProblem, CallStatus } from "./call.ts";
import type { DeliveryState } from "./delivery.ts";
import type { Endpoint, EndpointReason, EndpointState } from "./endpoint.ts";
import { isoTime } from "./payload.ts";
import type { Watch } from "./watch.ts";

type Pausable = { readonly state: EndpointState; readonly reason: EndpointReason | null; readonly pausedUntilMs: number | null };

export type WatchExplainInput = {
  readonly watch: Pick<Watch, "status" | "endReason" | "expiresAtMs" | "endedAtMs">;
  readonly call: CallStatus;
  readonly endpoint: Pausable | null;
  readonly pendingDeliveries: number;
  readonly progress: {
    readonly polledAtMs: number | null;
    readonly nextPollAtMs: number | null;
    readonly problem: CallProblem | null;
  } | null;
  readonly nowMs: number;
};

/** One sentence: what a watch waits for, and until when. */
export function explainWatch(input: WatchExplainInput): string {
  const { watch } = input;
  if (watch.status === "active") return explainPolling(input);
  const ending = endingOf(watch);
  if (input.pendingDeliveries === 0) return ending;
  return `${ending}; ${input.pendingDeliveries} ${input.pendingDeliveries === 1 ? "webhook is" : "webhooks are"} still owed${whyHeld(input.endpoint, input.nowMs)}`;
}

export type DeliveryExplainInput = {
  readonly delivery: Pick<DeliveryState, "status" | "attemptCount" | "nextAttemptAtMs" | "settledAtMs">;
  readonly endpoint: Pausable;
  readonly dueAtMs: number | null;
  readonly blockedBySequence: number | null;
  readonly leased: boolean;
  readonly nowMs: number;
};

/** One sentence: what a delivery waits for, and until when; or how it ended. */
export function explainDelivery(input: DeliveryExplainInput): string {
  const { delivery, endpoint, dueAtMs, nowMs } = input;
  const attempts = `${delivery.attemptCount} ${delivery.attemptCount === 1 ? "attempt" : "attempts"}`;
  switch (delivery.status) {
    case "delivered":
      return `delivered after ${attempts}`;
    case "exhausted":
      return `given up after ${attempts}: the retry schedule is used up; retry or recover sends it again`;
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
  if (endpoint.state !== "enabled") return `waits${whyHeld(endpoint, nowMs).replace(",", "")}`;
  if (dueAtMs === null) return `waits for event ${input.blockedBySequence ?? "before it"} of the same watch, which goes first`;
  if (endpoint.pausedUntilMs !== null && endpoint.pausedUntilMs > nowMs) return `waits${whyHeld(endpoint, nowMs).replace(",", "")}`;
  if (dueAtMs > nowMs) return `waits for attempt ${delivery.attemptCount + 1} at ${isoTime(dueAtMs)}`;
  return "is due now and waits for a free place at its endpoint";
}

export type EndpointExplainInput = {
  readonly endpoint: Pick<Endpoint, "state" | "reason" | "sinceMs" | "health">;
  readonly hostPausedUntilMs: number | null;
  readonly backlog: number;
  readonly oldestDueAtMs: number | null;
  readonly nowMs: number;
};

/** One sentence: how an endpoint is doing and what it waits for. */
export function explainEndpoint(input: EndpointExplainInput): string {
  const { endpoint, backlog, nowMs } = input;
  const owed = backlog === 0 ? "nothing is owed" : `${backlog} ${backlog === 1 ? "webhook is" : "webhooks are"} owed`;
  const pausedUntilMs = Math.max(endpoint.health.pausedUntilMs ?? 0, input.hostPausedUntilMs ?? 0);
  if (endpoint.state !== "enabled" || pausedUntilMs > nowMs)
    return `${owed}${whyHeld({ state: endpoint.state, reason: endpoint.reason, pausedUntilMs }, nowMs)}`;
  const { consecutiveFailures, failingSinceMs } = endpoint.health;
  if (consecutiveFailures > 0 && failingSinceMs !== null)
    return `${owed}; the last ${consecutiveFailures} ${consecutiveFailures === 1 ? "attempt" : "attempts"} failed, since ${isoTime(failingSinceMs)}`;
  return input.oldestDueAtMs !== null && input.oldestDueAtMs > nowMs ? `${owed}, the next at ${isoTime(input.oldestDueAtMs)}` : owed;
}

function explainPolling({ watch, call, progress, nowMs }: WatchExplainInput): string {
  const until = `until ${isoTime(watch.expiresAtMs)}`;
  switch (progress?.problem) {
    case "source_suspended":
      return `waiting for the source to accept its credential again, then for the call to go on, ${until}`;
    case "upstream_errors":
      return `waiting for the upstream to answer again (polled on with backoff), ${until}`;
    case "not_found_yet":
      return `waiting for the upstream to know the call, ${until}`;
    case "source_slowed":
    case null:
    case undefined:
      break;
  }
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

function whyHeld(endpoint: Pausable | null, nowMs: number): string {
  if (endpoint === null) return "";
  if (endpoint.state === "disabled") {
    const why = endpoint.reason === "gone" ? "after a 410" : endpoint.reason === "failing" ? "after nothing but failures" : "by its owner";
    return `, until the endpoint is enabled again (disabled ${why})`;
  }
  if (endpoint.state === "paused") return ", until the endpoint's owner ends the pause";
  if (endpoint.pausedUntilMs !== null && endpoint.pausedUntilMs > nowMs)
    return `, until the endpoint's pause ends at ${isoTime(endpoint.pausedUntilMs)}`;
  return "";
}

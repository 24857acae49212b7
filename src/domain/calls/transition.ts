import type { CallChange, CallStatus } from "./call.ts";
import type { RingbackEvent, WatchEventType } from "../events/event.ts";
import { hookMatches, hookNames, watchMatches } from "../events/event-filter.ts";
import type { EventFilter } from "../events/event-filter.ts";
import { eventTypeOf } from "./call-status.ts";
import { eventId } from "../ids.ts";
import type { Watch } from "./watch.ts";

/** Number of events after which a watch receives only its terminal event. */
export const maxEventsPerWatch = 50;

/** The part of a watch that planning its events needs. */
export type SubscriberWatch = Pick<
  Watch,
  | "id"
  | "accountId"
  | "callSid"
  | "sourceName"
  | "endpointId"
  | "filter"
  | "metadata"
  | "trace"
  | "sequence"
  | "createdAtMs"
  | "expiresAtMs"
>;

/** A hook of an account that has a watch on the call. `notifiedTransition` is the last transition of the call that was sent to the hook. */
export type SubscriberHook = {
  readonly id: string;
  readonly accountId: string;
  readonly endpointId: string;
  readonly filter: EventFilter;
  readonly notifiedTransition: number;
};

/** One event for one watch, its recipients, and the state of the watch after it. */
export type PlannedEvent = {
  readonly watchId: string;
  readonly event: Extract<RingbackEvent, { type: WatchEventType | "endpoint.test" }>;
  readonly terminal: boolean;
  readonly sequence: number;
  readonly watchStatus: Watch["status"];
  readonly endReason: Watch["endReason"];
  /** `traceparent` of the watch's registration. */
  readonly trace: string | null;
  /** Endpoints that each receive one delivery. */
  readonly endpointIds: readonly string[];
  /** Hooks that this event decides the transition for: it was sent to them, or their conditions refused it. */
  readonly hookIds: readonly string[];
};

/** Facts of an event. `previousStatus` and `observedAfterMs` are `null` in a watch's first event. */
type Facts = Pick<PlannedEvent, "watchStatus" | "endReason"> & {
  readonly type: WatchEventType;
  readonly status: string | null;
  readonly previousStatus: string | null;
  readonly reason: string;
  readonly details: string | null;
  readonly terminal: boolean;
  readonly observedAtMs: number;
  readonly observedAfterMs: number | null;
};

type SeenStatus = Pick<Facts, "reason" | "details" | "terminal" | "observedAtMs"> & { readonly status: string };

export type TransitionInput = {
  /** State of the call before the change. */
  readonly call: CallStatus;
  /** Number of this transition of the call, from 1. A hook is notified of each transition once. */
  readonly transition: number;
  /** Active watches, oldest first. */
  readonly watches: readonly SubscriberWatch[];
  readonly hooks: readonly SubscriberHook[];
  /** Accounts with a watch that is not among `watches` and stays active after the change. */
  readonly watching?: ReadonlySet<string>;
  readonly nowMs: number;
};

/**
 * One step of a commit: the call before the step, and the number of its transition. `change` is `null` if watches without
 * an event are notified of the current status.
 */
export type CommitStep = { readonly call: CallStatus; readonly transition: number; readonly change: CallChange | null };

/**
 * Divides a commit into steps, in order, and returns the call after them. Each step is planned (`planNotifications`) for
 * the watches and hooks as the previous step left them.
 */
export function planCommit(
  { changes, confirmed, nowMs }: { readonly changes: readonly CallChange[]; readonly confirmed: boolean; readonly nowMs: number },
  before: { readonly call: CallStatus; readonly transition: number },
): { readonly steps: readonly CommitStep[]; readonly call: CallStatus; readonly transition: number } {
  let { call, transition } = before;
  const steps: CommitStep[] = [];
  for (const change of changes) {
    // If a watch expires with a poll, it is first notified of the status that this poll confirmed.
    if (change.kind === "expire" && confirmed) steps.push({ call, transition, change: null });
    if (change.kind === "status") transition += 1;
    steps.push({ call, transition, change });
    call = callAfter(call, change, nowMs);
  }
  // A change of status has notified every watch already.
  if (confirmed && !changes.some(({ kind }) => kind === "status")) steps.push({ call, transition, change: null });
  return { steps, call, transition };
}

function callAfter(call: CallStatus, change: CallChange, nowMs: number): CallStatus {
  switch (change.kind) {
    case "status":
      return {
        ...call,
        status: change.status,
        reason: change.reason,
        details: change.details,
        terminal: change.terminal,
        observedAtMs: nowMs,
      };
    case "note":
      return { ...call, reason: change.reason, details: change.details };
    case "end":
    case "expire":
      return call;
  }
}

/** Plans the events of one step. */
export function planNotifications(change: CallChange | null, input: TransitionInput): readonly PlannedEvent[] {
  return change === null ? planInitialEvents(input) : planChange(change, input);
}

/** Returns the watches that are still active after these events, with their new sequences, in the given order. */
export function watchesAfter<Subscriber extends SubscriberWatch>(
  watches: readonly Subscriber[],
  planned: readonly PlannedEvent[],
): readonly Subscriber[] {
  if (planned.length === 0) return watches;
  const plans = new Map(planned.map((plan) => [plan.watchId, plan]));
  return watches.flatMap((watch) => {
    const plan = plans.get(watch.id);
    if (plan === undefined) return [watch];
    return plan.watchStatus === "active" ? [{ ...watch, sequence: plan.sequence }] : [];
  });
}

/** Plans the events of one change of a call, with their sequences and recipients. */
export function planChange(change: CallChange, input: TransitionInput): readonly PlannedEvent[] {
  const { call, watches, nowMs } = input;
  switch (change.kind) {
    case "note":
      return [];
    case "status":
      return planAll(watches, input, (watch) => {
        const seen = { ...change, observedAtMs: nowMs };
        return watch.sequence === 0 ? statusFacts(seen, null, null) : statusFacts(seen, call.status, change.observedAfterMs);
      });
    case "end":
      return planEnd(change, input);
    case "expire":
      return planEndOfSome(
        input,
        (watch) => isEndedBy(change, watch, nowMs),
        () => endingFacts("watch.expired", "expired", call, nowMs),
      );
  }
}

/** Whether a change of the call, committed at `nowMs`, ends an active watch. */
export function isEndedBy(change: CallChange, watch: Pick<SubscriberWatch, "createdAtMs" | "expiresAtMs">, nowMs: number): boolean {
  switch (change.kind) {
    case "note":
      return false;
    case "status":
      return change.terminal;
    case "end":
      return change.spares === null || watch.createdAtMs <= change.spares.afterMs || watch.createdAtMs > change.spares.untilMs;
    case "expire":
      return watch.expiresAtMs <= nowMs;
  }
}

function planEnd(change: Extract<CallChange, { kind: "end" }>, input: TransitionInput): readonly PlannedEvent[] {
  const { endReason } = change;
  const facts = () => endingFacts(`watch.${endReason}`, endReason, input.call, input.nowMs);
  return planEndOfSome(input, (watch) => isEndedBy(change, watch, input.nowMs), facts);
}

/**
 * Plans the ending of those watches that `ends` selects. That is not a transition of the call, so the progress of hooks does
 * not change: a later watch whose first event is the status of before does not send it to them again. A hook is notified only if the account has no other watch on the call; with another watch it will receive the
 * later events.
 */
function planEndOfSome(
  input: TransitionInput,
  ends: (watch: SubscriberWatch) => boolean,
  factsOf: (watch: SubscriberWatch) => Facts,
): readonly PlannedEvent[] {
  const ending = input.watches.filter(ends);
  const stillWatching = new Set(input.watches.filter((watch) => !ends(watch)).map((watch) => watch.accountId));
  const hooks = input.hooks
    .filter((hook) => !stillWatching.has(hook.accountId) && input.watching?.has(hook.accountId) !== true)
    .map((hook) => ({ ...hook, notifiedTransition: -1 }));
  return planAll(ending, { ...input, hooks }, factsOf).map((planned) => ({ ...planned, hookIds: [] }));
}

/** Plans the first event of watches that have none, from the known status. */
export function planInitialEvents(input: TransitionInput): readonly PlannedEvent[] {
  const { call, watches } = input;
  const { status, observedAtMs } = call;
  if (status === null || observedAtMs === null) return [];
  const facts = statusFacts({ ...call, status, observedAtMs }, null, null);
  return planAll(
    watches,
    input,
    () => facts,
    (watch) => watch.sequence === 0,
  );
}

function statusFacts(
  { status, reason, details, terminal, observedAtMs }: SeenStatus,
  previousStatus: string | null,
  observedAfterMs: number | null,
): Facts {
  const watchStatus = terminal ? "completed" : "active";
  return {
    type: eventTypeOf(status, terminal),
    status,
    previousStatus,
    reason,
    details,
    terminal,
    observedAtMs,
    observedAfterMs,
    watchStatus,
    endReason: null,
  };
}

function endingFacts(type: WatchEventType, endReason: NonNullable<Watch["endReason"]>, call: CallStatus, nowMs: number): Facts {
  const { status, reason, details, lastGoodPollAtMs } = call;
  const observed = { observedAtMs: nowMs, observedAfterMs: status === null ? null : lastGoodPollAtMs };
  return { type, status, previousStatus: status, reason, details, terminal: true, ...observed, watchStatus: "ended", endReason };
}

function planAll(
  watches: readonly SubscriberWatch[],
  input: TransitionInput,
  factsOf: (watch: SubscriberWatch) => Facts,
  isNotified: (watch: SubscriberWatch) => boolean = () => true,
): readonly PlannedEvent[] {
  const accountsSeen = new Set<string>();
  const planned: PlannedEvent[] = [];
  for (const watch of watches) {
    const oldest = !accountsSeen.has(watch.accountId);
    accountsSeen.add(watch.accountId);
    const facts = factsOf(watch);
    if (!isNotified(watch) || (!facts.terminal && watch.sequence >= maxEventsPerWatch)) continue;
    const event = eventOf(watch, facts);
    const hooks = oldest
      ? input.hooks.filter(
          (hook) => hook.accountId === watch.accountId && hook.notifiedTransition < input.transition && hookNames(hook.filter, event),
        )
      : [];
    const own = watch.endpointId !== null && watchMatches(watch.filter, event) ? [watch.endpointId] : [];
    planned.push({
      watchId: watch.id,
      event,
      terminal: facts.terminal,
      sequence: watch.sequence + 1,
      watchStatus: facts.watchStatus,
      endReason: facts.endReason,
      trace: watch.trace,
      endpointIds: [...new Set([...own, ...hooks.filter(({ filter }) => hookMatches(filter, event)).map((hook) => hook.endpointId)])],
      hookIds: hooks.map((hook) => hook.id),
    });
  }
  return planned;
}

function eventOf(watch: SubscriberWatch, facts: Facts): PlannedEvent["event"] {
  const { accountId, callSid, metadata } = watch;
  const { type, status, previousStatus, reason, details, terminal, observedAtMs, observedAfterMs } = facts;
  const sequence = watch.sequence + 1;
  const about = { watchId: watch.id, callSid, source: watch.sourceName, metadata };
  const data = { ...about, status, previousStatus, reason, terminal, sequence, observedAtMs, observedAfterMs, details };
  return { id: eventId(watch.id, sequence, type, status, reason), accountId, timestampMs: observedAtMs, type, data };
}

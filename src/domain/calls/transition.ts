import type { CallChange, CallStatus } from "./call.ts";
import type { RingbackEvent, WatchEventType } from "../events/event.ts";
import { hookMatches, watchMatches } from "../events/event-filter.ts";
import type { EventFilter } from "../events/event-filter.ts";
import { eventTypeOf } from "./call-status.ts";
import { eventId } from "../ids.ts";
import type { Watch } from "./watch.ts";

/** A watch that went back and forth this often is told only how its call ends. */
export const maxEventsPerWatch = 50;

/** What a watch must know of itself to take an event. */
export type SubscriberWatch = Pick<
  Watch,
  "id" | "accountId" | "callSid" | "sourceName" | "endpointId" | "filter" | "metadata" | "sequence" | "expiresAtMs"
>;

/** A hook of an account that has a watch on the call. `notifiedTransition`: the last transition of this call it was sent. */
export type SubscriberHook = {
  readonly id: string;
  readonly accountId: string;
  readonly endpointId: string;
  readonly filter: EventFilter;
  readonly notifiedTransition: number;
};

/** One event for one watch, where it goes, and how the watch stands after it. */
export type PlannedEvent = {
  readonly watchId: string;
  readonly event: Extract<RingbackEvent, { type: WatchEventType | "endpoint.test" }>;
  readonly terminal: boolean;
  readonly sequence: number;
  readonly watchStatus: Watch["status"];
  readonly endReason: Watch["endReason"];
  /** One delivery each. */
  readonly endpointIds: readonly string[];
  /** Hooks that are told this transition through it. */
  readonly hookIds: readonly string[];
};

/** The facts an event tells; `previousStatus` and `observedAfterMs` are null in a watch's first. */
type Facts = Pick<PlannedEvent, "watchStatus" | "endReason"> & {
  readonly type: WatchEventType;
  readonly status: string | null;
  readonly previousStatus: string | null;
  readonly reason: string;
  readonly terminal: boolean;
  readonly observedAtMs: number;
  readonly observedAfterMs: number | null;
};

export type TransitionInput = {
  /** The call before the change. */
  readonly call: CallStatus;
  /** The number of this transition of the call, from 1; what hooks are told once. */
  readonly transition: number;
  /** Active, oldest first. */
  readonly watches: readonly SubscriberWatch[];
  readonly hooks: readonly SubscriberHook[];
  readonly nowMs: number;
};

/** One telling of a commit: the call as it is before it and the number of its transition. `change` null: who was told nothing yet is told the status. */
export type CommitStep = { readonly call: CallStatus; readonly transition: number; readonly change: CallChange | null };

/**
 * What a commit comes to, from the call as it stands: its tellings, in order, and the call behind them. Each telling is
 * planned (`planNotifications`) for the watches and hooks as the one before left them.
 */
export function planCommit(
  { changes, confirmed, nowMs }: { readonly changes: readonly CallChange[]; readonly confirmed: boolean; readonly nowMs: number },
  before: { readonly call: CallStatus; readonly transition: number },
): { readonly steps: readonly CommitStep[]; readonly call: CallStatus; readonly transition: number } {
  let { call, transition } = before;
  const steps: CommitStep[] = [];
  for (const change of changes) {
    // Who expires with the poll that would have told it the status is told first.
    if (change.kind === "expire" && confirmed) steps.push({ call, transition, change: null });
    if (change.kind === "status" || change.kind === "end") transition += 1;
    steps.push({ call, transition, change });
    call = callAfter(call, change, nowMs);
  }
  // Another status was told to everybody already.
  if (confirmed && !changes.some(({ kind }) => kind === "status")) steps.push({ call, transition, change: null });
  return { steps, call, transition };
}

function callAfter(call: CallStatus, change: CallChange, nowMs: number): CallStatus {
  switch (change.kind) {
    case "status":
      return { ...call, status: change.status, reason: change.reason, terminal: change.terminal, observedAtMs: nowMs };
    case "reason":
      return { ...call, reason: change.reason };
    case "end":
    case "expire":
      return call;
  }
}

/** The events of one telling. */
export function planNotifications(change: CallChange | null, input: TransitionInput): readonly PlannedEvent[] {
  return change === null ? planInitialEvents(input) : planChange(change, input);
}

/** The watches that are still active after these events, as they stand then; in the order given. */
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

/** The events of one change of a call: who is told what, in which sequence, and where it goes. */
export function planChange(change: CallChange, input: TransitionInput): readonly PlannedEvent[] {
  const { call, watches, nowMs } = input;
  switch (change.kind) {
    case "reason":
      return [];
    case "status":
      return planAll(watches, input, (watch) => ({
        type: eventTypeOf(change.status),
        status: change.status,
        previousStatus: watch.sequence === 0 ? null : call.status,
        reason: change.reason,
        terminal: change.terminal,
        observedAtMs: nowMs,
        observedAfterMs: watch.sequence === 0 ? null : change.observedAfterMs,
        watchStatus: change.terminal ? "completed" : "active",
        endReason: null,
      }));
    case "end":
      return planAll(watches, input, () => endingFacts(`watch.${change.endReason}`, change.endReason, call, nowMs));
    case "expire": {
      const due = watches.filter((watch) => watch.expiresAtMs <= nowMs);
      // A hook hears of an expiry only when nothing of the account looks at the call any more: it would hear the rest otherwise.
      const stillWatching = new Set(watches.filter((watch) => watch.expiresAtMs > nowMs).map((watch) => watch.accountId));
      const hooks = input.hooks.filter((hook) => !stillWatching.has(hook.accountId)).map((hook) => ({ ...hook, notifiedTransition: -1 }));
      // An expiry is no transition of the call: what hooks were told of those stays as it is.
      return planAll(due, { ...input, hooks }, () => endingFacts("watch.expired", "expired", call, nowMs)).map((planned) => ({
        ...planned,
        hookIds: [],
      }));
    }
  }
}

/** The first event of watches that were told nothing yet, from the status that is known. */
export function planInitialEvents(input: TransitionInput): readonly PlannedEvent[] {
  const { call } = input;
  const { status, observedAtMs } = call;
  if (status === null || observedAtMs === null) return [];
  const unnotified = new Set(input.watches.filter((watch) => watch.sequence === 0));
  return planAll(
    input.watches,
    input,
    () => ({
      type: eventTypeOf(status),
      status,
      previousStatus: null,
      reason: call.reason,
      terminal: call.terminal,
      observedAtMs,
      observedAfterMs: null,
      watchStatus: call.terminal ? "completed" : "active",
      endReason: null,
    }),
    (watch) => unnotified.has(watch),
  );
}

function endingFacts(type: WatchEventType, endReason: NonNullable<Watch["endReason"]>, call: CallStatus, nowMs: number): Facts {
  const { status, reason, lastGoodPollAtMs } = call;
  return {
    type,
    status,
    previousStatus: status,
    reason,
    terminal: true,
    observedAtMs: nowMs,
    observedAfterMs: status === null ? null : lastGoodPollAtMs,
    watchStatus: "ended",
    endReason,
  };
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
          (hook) => hook.accountId === watch.accountId && hook.notifiedTransition < input.transition && hookMatches(hook.filter, event),
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
      endpointIds: [...new Set([...own, ...hooks.map((hook) => hook.endpointId)])],
      hookIds: hooks.map((hook) => hook.id),
    });
  }
  return planned;
}

function eventOf(watch: SubscriberWatch, facts: Facts): PlannedEvent["event"] {
  const sequence = watch.sequence + 1;
  return {
    id: eventId(watch.id, sequence, facts.type, facts.status, facts.reason),
    accountId: watch.accountId,
    timestampMs: facts.observedAtMs,
    type: facts.type,
    data: {
      watchId: watch.id,
      callSid: watch.callSid,
      source: watch.sourceName,
      status: facts.status,
      previousStatus: facts.previousStatus,
      reason: facts.reason,
      terminal: facts.terminal,
      sequence,
      observedAtMs: facts.observedAtMs,
      observedAfterMs: facts.observedAfterMs,
      metadata: watch.metadata,
    },
  };
}

import type { WatchEventType } from "../events/event.ts";

/** Order of the known statuses in the life of a call. Other statuses have no rank. */
const rankByStatus: Readonly<Record<string, number>> = { queued: 0, calling: 1, success: 2, failure: 2 };

/** Whether a status ends its call. `success` and `failure` do, and never change again. */
export function isTerminalStatus(status: string): boolean {
  return status === "success" || status === "failure";
}

/** Whether a change of status goes backwards; false if either status is unknown. */
export function goesBackwards(from: string, to: string): boolean {
  const fromRank = Object.hasOwn(rankByStatus, from) ? rankByStatus[from] : undefined;
  const toRank = Object.hasOwn(rankByStatus, to) ? rankByStatus[to] : undefined;
  return fromRank !== undefined && toRank !== undefined && toRank < fromRank;
}

/**
 * Returns the type of the event about a status (in lower case). A word `success` or `failure` that is in no status map ends no
 * call, so that its event is `call.other`.
 */
export function eventTypeOf(status: string, terminal: boolean): WatchEventType {
  switch (status) {
    case "queued":
      return "call.queued";
    case "calling":
      return "call.calling";
    case "success":
      return terminal ? "call.success" : "call.other";
    case "failure":
      return terminal ? "call.failure" : "call.other";
    default:
      return "call.other";
  }
}

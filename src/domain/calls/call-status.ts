import type { WatchEventType } from "../events/event.ts";

/** The order in which a call lives through the statuses we know; a status that is not here has no place in it. */
const rankByStatus: Readonly<Record<string, number>> = { queued: 0, calling: 1, success: 2, failure: 2 };

/** `success` and `failure` end a call and never change. */
export function isTerminalStatus(status: string): boolean {
  return status === "success" || status === "failure";
}

/** Whether going from one status to the other is going back; never for a status we do not know. */
export function goesBackwards(from: string, to: string): boolean {
  const fromRank = Object.hasOwn(rankByStatus, from) ? rankByStatus[from] : undefined;
  const toRank = Object.hasOwn(rankByStatus, to) ? rankByStatus[to] : undefined;
  return fromRank !== undefined && toRank !== undefined && toRank < fromRank;
}

/** The type of the event that says a call has this status (in lower case). */
export function eventTypeOf(status: string): WatchEventType {
  switch (status) {
    case "queued":
      return "call.queued";
    case "calling":
      return "call.calling";
    case "success":
      return "call.success";
    case "failure":
      return "call.failure";
    default:
      return "call.other";
  }
}

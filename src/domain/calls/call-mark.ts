import type { CallChange, CallStatus } from "./call.ts";
import { isEndedBy } from "./transition.ts";
import type { Watch } from "./watch.ts";

/**
 * Mark of a commit that concerns more watches than one transaction writes. The row of the call holds it: the call has
 * the state after the commit, and its watches follow in portions, by account and id. It holds for the watches that were
 * active when it was set; a watch that is registered while it runs names its version (`spared_by`). A watch that it ends
 * counts as ended from the mark on, and its event follows with its portion.
 */
export type CallMark = {
  /** Version of the call with this commit. No two marks of a call have the same. */
  readonly version: number;
  readonly changes: readonly CallChange[];
  readonly confirmed: boolean;
  readonly nowMs: number;
  /** State of the call before the commit, with the last good poll of the commit. */
  readonly call: CallStatus;
  readonly transition: number;
  /** Keys of the marks of 410s on watches of the call that ran when it was set: what those ended before stays. */
  readonly gone: readonly number[];
  /** The last watch that was written, in the order of account and id; `null` before the first. */
  readonly done: { readonly accountId: string; readonly watchId: string } | null;
};

type MarkedWatch = Pick<Watch, "status" | "endReason" | "createdAtMs" | "expiresAtMs" | "endedAtMs">;

/** Whether a commit concerns every active watch of its call: other commits concern those without an event, or past their deadline. */
export function concernsAll(changes: readonly CallChange[]): boolean {
  return changes.some(({ kind }) => kind === "status" || kind === "end");
}

/** Returns the change with which a mark ends watches; `null` if it ends none. */
export function endingOf({ changes }: Pick<CallMark, "changes">): CallChange | null {
  return (
    changes.find((change) => change.kind === "end" || change.kind === "expire" || (change.kind === "status" && change.terminal)) ?? null
  );
}

/** Status of the watches that a change ends. */
export function endedStatus(ending: CallChange): "completed" | "ended" {
  return ending.kind === "status" ? "completed" : "ended";
}

/** Returns the change with which a mark ends an active watch; `null` if it leaves the watch active. `sparedBy` as in `throughMark`. */
export function endingThrough(
  watch: Pick<Watch, "createdAtMs" | "expiresAtMs">,
  mark: CallMark | null,
  sparedBy: number | null,
): CallChange | null {
  if (mark === null || sparedBy === mark.version) return null;
  const ending = endingOf(mark);
  return ending !== null && isEndedBy(ending, watch, mark.nowMs) ? ending : null;
}

/**
 * Returns the marks of 410s that come before the ending of an active watch by the mark of its call; `null` if the mark leaves
 * the watch active. Whichever ended a watch first stays.
 */
export function goneBeforeEnding(
  watch: Pick<Watch, "createdAtMs" | "expiresAtMs">,
  mark: CallMark | null,
  sparedBy: number | null,
): readonly number[] | null {
  return mark === null || endingThrough(watch, mark, sparedBy) === null ? null : mark.gone;
}

/** Returns a watch as a mark above it shows it. `sparedBy` is the version of the mark that ran when the watch was registered. */
export function throughMark<Marked extends MarkedWatch>(watch: Marked, mark: CallMark | null, sparedBy: number | null): Marked {
  const ending = watch.status === "active" ? endingThrough(watch, mark, sparedBy) : null;
  if (mark === null || ending === null) return watch;
  const endReason = ending.kind === "end" ? ending.endReason : ending.kind === "expire" ? "expired" : null;
  return { ...watch, status: endedStatus(ending), endReason, endedAtMs: mark.nowMs };
}

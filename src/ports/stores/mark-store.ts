import type { MarkKind } from "../../domain/deliveries/marks.ts";
import type { Notice, WatchedCall } from "./call-store.ts";
import type { SendJob } from "./send-job.ts";

/** Result of one portion of a mark. */
export type SweptPortion =
  | {
      readonly kind: "swept";
      readonly markKind: MarkKind;
      /** Whether the mark is carried out, and its row deleted. */
      readonly done: boolean;
      /** Number of rows that the portion changed. */
      readonly rows: number;
      /** Calls that have no watch left. */
      readonly unwatchedCallIds: readonly string[];
      /** Calls that this process polls from now on, or polls already and must take the state of. */
      readonly resumedCalls: readonly WatchedCall[];
      /** Notices that wake waiting requests. */
      readonly notices: readonly Notice[];
      /** Leased deliveries that the portion made. */
      readonly jobs: readonly SendJob[];
    }
  /** The account has no mark, or another instance carries it out. */
  | { readonly kind: "nothing" };

/**
 * Work on many rows, see `domain/deliveries/marks.ts`. The operation that sets a mark is the one that a client or an answer
 * asked for; these carry it out. The marks of an account are carried out in the order in which they were set.
 */
export interface MarkStore {
  /** Lists the accounts that have marks, the one with the oldest mark first. */
  listMarkedAccounts(limit: number): Promise<readonly string[]>;
  /** Carries out the next portion of the oldest mark of an account, in one transaction. */
  sweepMark(request: { readonly accountId: string; readonly nowMs: number }): Promise<SweptPortion>;
}

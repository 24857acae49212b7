import type { Notice } from "../../ports/stores/call-store.ts";
import { id, integer } from "./rows.ts";
import type { Row } from "./rows.ts";

/** Result of ending the watches of an endpoint that answered 410. */
export type RetireResult = { readonly unwatchedCallIds: readonly string[]; readonly notices: readonly Notice[] };

/** Returns the notice of a watch that was canceled, so that requests that wait for it end. `row` has its id, account and sequence. */
export function canceledNoticeOf(row: Row): Notice {
  return {
    accountId: id(row, "acc", "account_id"),
    watchId: id(row, "wch", "id"),
    callSid: null,
    sequence: integer(row, "sequence"),
    eventType: "watch.canceled",
  };
}

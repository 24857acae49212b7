import type { CallStore, WatchedCall } from "../../../ports/stores/call-store.ts";
import type { Database } from "../connection/database.ts";
import { listWatchedCalls } from "./watched-call.ts";

export function loadWatchedCalls(db: Database, page: Parameters<CallStore["loadWatchedCalls"]>[0]): readonly WatchedCall[] {
  return listWatchedCalls(db, page.afterCallId, page.limit);
}

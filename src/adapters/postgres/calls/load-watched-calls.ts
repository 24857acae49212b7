import type { CallStore, WatchedCall } from "../../../ports/stores/call-store.ts";
import type { Database } from "../connection/database.ts";
import { listOwnedCalls } from "./watched-call.ts";

/** This instance's. */
export async function loadWatchedCalls(db: Database, page: Parameters<CallStore["loadWatchedCalls"]>[0]): Promise<readonly WatchedCall[]> {
  return db.owner.token === null ? [] : listOwnedCalls(db, db.owner.token, page);
}

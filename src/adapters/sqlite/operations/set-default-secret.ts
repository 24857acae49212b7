import type { AccountStore } from "../../../ports/account-store.ts";
import type { Database } from "../database.ts";
import { insertSecret } from "../tables/endpoints.ts";

/** Endpoints that were made with the default before keep it: a new one is for new endpoints. */
export function setDefaultSecret(db: Database, request: Parameters<AccountStore["setDefaultSecret"]>[0]): void {
  insertSecret(db, request.accountId, request.secret, request.nowMs);
  db.run("update accounts set default_secret_id = ? where id = ?", request.secret.id, request.accountId);
}

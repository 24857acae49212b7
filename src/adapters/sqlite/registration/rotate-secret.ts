import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { Database } from "../connection/database.ts";
import { deleteUnusedSecrets, insertSecret } from "./secrets.ts";
import { text } from "../../sql/rows.ts";

export function rotateSecret(db: Database, request: Parameters<EndpointStore["rotateSecret"]>[0]): boolean {
  const { accountId, endpointId, secret, previousValidUntilMs, nowMs } = request;
  if (db.get("select 1 from endpoints where id = ? and account_id = ?", endpointId, accountId) === undefined) return false;
  const spent = db.all("delete from endpoint_secrets where endpoint_id = ? and valid_until <= ? returning secret_id", endpointId, nowMs);
  deleteUnusedSecrets(
    db,
    spent.map((row) => text(row, "secret_id")),
  );
  db.run("update endpoint_secrets set valid_until = ? where endpoint_id = ? and valid_until is null", previousValidUntilMs, endpointId);
  insertSecret(db, accountId, secret, nowMs);
  db.run("insert into endpoint_secrets (endpoint_id, secret_id) values (?, ?)", endpointId, secret.id);
  return true;
}

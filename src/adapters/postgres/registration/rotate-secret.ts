import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { text } from "../../sql/rows.ts";
import { deleteUnusedSecrets, insertSecret } from "./secrets.ts";

export async function rotateSecret(tx: Transaction, request: Parameters<EndpointStore["rotateSecret"]>[0]): Promise<boolean> {
  const { accountId, endpointId, secret, previousValidUntilMs, nowMs } = request;
  const known = await tx.get("select 1 from endpoints where id = $1 and account_id = $2 for no key update", endpointId, accountId);
  if (known === undefined) return false;
  const spent = await tx.all(
    "delete from endpoint_secrets where endpoint_id = $1 and valid_until <= $2 returning secret_id",
    endpointId,
    nowMs,
  );
  await deleteUnusedSecrets(
    tx,
    spent.map((row) => text(row, "secret_id")),
  );
  await tx.run(
    "update endpoint_secrets set valid_until = $1 where endpoint_id = $2 and valid_until is null",
    previousValidUntilMs,
    endpointId,
  );
  await insertSecret(tx, accountId, secret, nowMs);
  await tx.run("insert into endpoint_secrets (endpoint_id, secret_id) values ($1, $2)", endpointId, secret.id);
  return true;
}

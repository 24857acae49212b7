import { decodeId } from "../../../domain/ids.ts";
import type { SecretDraft } from "../../../ports/stores/registration-store.ts";
import { secretWrites } from "../../sql/registration/secrets.ts";
import type { Database } from "../connection/database.ts";

export const writes = secretWrites<Database>({ insertSecret, deleteUnusedSecrets });

export function insertSecret(db: Database, accountId: string, secret: SecretDraft, nowMs: number): void {
  db.run(
    "insert into secrets (id, account_id, sealed, fingerprint, created_at) values (?, ?, ?, ?, ?)",
    decodeId(secret.id),
    decodeId(accountId),
    secret.sealed,
    secret.fingerprints[0] ?? "",
    nowMs,
  );
}

/** Deletes the given secrets unless an endpoint signs with them or an account has them as its default. */
export function deleteUnusedSecrets(db: Database, secretKeys: readonly number[]): void {
  for (const secretKey of secretKeys)
    db.run(
      `delete from secrets where id = ?1 and not exists (select 1 from endpoint_secrets x where x.secret_id = ?1)
         and not exists (select 1 from accounts a where a.default_secret_id = ?1)`,
      secretKey,
    );
}

import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { SecretDraft } from "../../../ports/stores/registration-store.ts";
import type { SqlTransaction } from "../queries.ts";
import { text } from "../rows.ts";

/** Operations on secrets that differ between the databases. Registrations and the retention use them too. */
type SecretRows<Tx> = {
  readonly insertSecret: (tx: Tx, accountId: string, secret: SecretDraft, nowMs: number) => void | Promise<void>;
  /** Deletes the given secrets unless an endpoint signs with them or an account has them as its default. */
  readonly deleteUnusedSecrets: (tx: Tx, secretIds: readonly string[]) => void | Promise<void>;
};

export function secretWrites<Tx extends SqlTransaction>({ insertSecret, deleteUnusedSecrets }: SecretRows<Tx>) {
  return {
    /** Adds a new current secret; the previous one signs until `previousValidUntilMs`. Returns false if the account has no such endpoint. */
    async rotateSecret(tx: Tx, request: Parameters<EndpointStore["rotateSecret"]>[0]): Promise<boolean> {
      const { accountId, endpointId, secret, previousValidUntilMs, nowMs } = request;
      const endpoint = await tx.get(`select 1 from endpoints where id = ?1 and account_id = ?2${tx.rowLock}`, endpointId, accountId);
      if (endpoint === undefined) return false;
      const expired = await tx.all(
        "delete from endpoint_secrets where endpoint_id = ?1 and valid_until <= ?2 returning secret_id",
        endpointId,
        nowMs,
      );
      const expiredIds = expired.map((row) => text(row, "secret_id"));
      await deleteUnusedSecrets(tx, expiredIds);
      await tx.run(
        "update endpoint_secrets set valid_until = ?1 where endpoint_id = ?2 and valid_until is null",
        previousValidUntilMs,
        endpointId,
      );
      await insertSecret(tx, accountId, secret, nowMs);
      await tx.run("insert into endpoint_secrets (endpoint_id, secret_id) values (?1, ?2)", endpointId, secret.id);
      return true;
    },
    /** Sets the default secret of new endpoints. Existing endpoints keep the secret that they were created with. */
    async setDefaultSecret(tx: Tx, request: Parameters<AccountStore["setDefaultSecret"]>[0]): Promise<void> {
      const { accountId, secret, nowMs } = request;
      const row = await tx.get(`select default_secret_id from accounts where id = ?1${tx.rowLock}`, accountId);
      const previousId = row?.["default_secret_id"];
      await insertSecret(tx, accountId, secret, nowMs);
      await tx.run("update accounts set default_secret_id = ?1 where id = ?2", secret.id, accountId);
      if (typeof previousId === "string") await deleteUnusedSecrets(tx, [previousId]);
      tx.changed?.add("accounts");
    },
  };
}

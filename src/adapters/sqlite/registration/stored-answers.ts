import { storedAnswersIn } from "../../sql/registration/stored-answers.ts";

/** The start of a server clears the leases of the last one, so every lease belongs to a live process. Triggers count the bytes. */
export const { reads, writes, checkRoom } = storedAnswersIn({
  lease: "d.lease_token",
  keyLock: "",
  joins: "",
  readStoredBytes: async (db, accountKey) =>
    Number((await db.get("select stored_bytes from account_usage where account_id = ?1", accountKey))?.["stored_bytes"] ?? 0),
});

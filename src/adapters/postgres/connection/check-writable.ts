import type { Transaction } from "./transaction.ts";

export const writes = { checkWritable };

/** Runs an update that changes no row; a replica or a read-only server rejects it. */
async function checkWritable(tx: Transaction): Promise<void> {
  await tx.run("update schema_migrations set name = name where number = 0");
}

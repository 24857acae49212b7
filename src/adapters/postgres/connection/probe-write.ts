import type { Transaction } from "./database.ts";

/** What a registration needs, without writing: a server that is a replica or read-only refuses it. */
export async function checkWritable(tx: Transaction): Promise<void> {
  await tx.run("update schema_migrations set name = name where number = 0");
}

import type { SqlTransaction } from "./queries.ts";

/** Runs an update that changes no row. It takes the write lock of SQLite; a replica or a read-only server of Postgres rejects it. */
export async function checkWritable(tx: SqlTransaction): Promise<void> {
  await tx.run("update schema_migrations set name = name where number = 0");
}

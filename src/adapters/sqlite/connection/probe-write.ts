import type { Database } from "./database.ts";

/** Takes the write lock and gives it back: what a registration needs, without writing. */
export function checkWritable(db: Database): void {
  db.run("update schema_migrations set name = name where number = 0");
}

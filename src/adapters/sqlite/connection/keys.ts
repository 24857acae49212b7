import { KeyBlock, nextBlockStart } from "../../../domain/ids.ts";
import { keyedTables } from "../../sql/keyed-tables.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "./database.ts";

/** Reads the newest key that the database holds or that a command line reserved; -1 if there is none. */
export function readNewestKey(db: Database): number {
  const newest = [...keyedTables.map((table) => `select max(id) as key from ${table}`), "select newest from command_line_keys"];
  const row = db.get(`select coalesce(max(key), -1) as key from (${newest.join(" union all ")})`);
  return row === undefined ? -1 : integer(row, "key");
}

/** Reserves a block of keys for one command line and returns its first key. The write lock orders command lines that run at the same time. */
export function reserveKeys(db: Database, nowMs: number): number {
  let first = 0;
  db.transaction(() => {
    first = nextBlockStart(readNewestKey(db), nowMs);
    db.run("update command_line_keys set newest = ?", new KeyBlock(first).last);
  });
  return first;
}

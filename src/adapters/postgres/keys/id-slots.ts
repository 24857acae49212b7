import { idSlots, KeyBlock, nextBlockStart } from "../../../domain/ids.ts";
import { keyedTables } from "../../sql/keyed-tables.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

/** Advisory lock under which instances take their slots; an arbitrary number. */
const slotsLockKey = 7_464_622_231;
/** Slot 0 is that of the command lines. */
export const maxInstances = idSlots - 1;

const newestOf = (table: string) => `(select id from ${table} order by id desc limit 1)`;

/** SQL expression: the newest key that the database holds or has reserved; -1 if there is none. One step of an index for each table. */
export const newestKey = `greatest((select newest from command_line_keys), ${keyedTables.map(newestOf).join(", ")})`;

/**
 * Returns the lowest slot that no instance has; `null` if there is none. The slot is free until the transaction ends, because
 * instances join one after another.
 */
export async function findFreeSlot(tx: Transaction): Promise<number | null> {
  // A statement before the search, so that the search reads what the previous holder of the lock committed.
  await tx.run("select pg_advisory_xact_lock($1)", slotsLockKey);
  const row = await tx.get(
    `select min(s.slot) as slot from generate_series(1, ${maxInstances}) as s(slot)
     where not exists (select 1 from instances i where i.slot = s.slot)`,
  );
  return integerOrNull(row ?? {}, "slot");
}

/**
 * Reserves keys for a process that is no instance: a command, or a server before it joins. All such processes share slot 0,
 * so each reserves a block: it raises the newest reserved key, unless another process raised it meanwhile.
 */
export async function reserveKeys(db: Queries): Promise<KeyBlock> {
  for (;;) {
    const row = await db.get(
      `select newest as reserved, ${newestKey} as newest, (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms from command_line_keys`,
    );
    if (row === undefined) throw new Error("command_line_keys has one row");
    const block = new KeyBlock(nextBlockStart(integer(row, "newest"), integer(row, "now_ms")));
    const raised = await db.run("update command_line_keys set newest = $1 where newest = $2", block.last, integer(row, "reserved"));
    if (raised > 0) return block;
  }
}

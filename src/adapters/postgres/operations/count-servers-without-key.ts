import type { Queries } from "../database.ts";
import { integer } from "../tables/rows.ts";

/** Of the instances whose lease runs. */
export async function countServersWithoutKey(db: Queries, keyId: string): Promise<number> {
  const row = await db.get("select count(*) as n from instances where lease_until > clock_timestamp() and $1 <> all(key_ids)", keyId);
  return integer(row ?? {}, "n");
}

import type { ServersWithoutKey } from "../../../ports/stores/sealed-store.ts";
import type { Queries } from "../connection/queries.ts";
import { integer } from "../../sql/rows.ts";

/** Of the instances whose lease runs. Each has keys, so none named says that it has not told them yet. */
export async function findServersWithoutKey(db: Queries, keyId: string): Promise<ServersWithoutKey> {
  const row = await db.get(
    `select count(*) filter (where key_ids <> '{}' and $1 <> all(key_ids)) as lacking, count(*) filter (where key_ids = '{}') as starting
     from instances where lease_until > clock_timestamp()`,
    keyId,
  );
  return { lacking: integer(row ?? {}, "lacking"), starting: integer(row ?? {}, "starting") };
}

import type { StoredSource } from "../../../ports/stores/source-store.ts";
import type { Queries } from "../connection/queries.ts";
import { sourceOf } from "../../sql/rows.ts";

export async function listSources(db: Queries): Promise<readonly StoredSource[]> {
  return (await db.all("select * from sources order by name")).map(sourceOf);
}

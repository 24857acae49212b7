import type { StoredSource } from "../../../ports/stores/source-store.ts";
import type { Database } from "../connection/database.ts";
import { sourceOf } from "../../sql/rows.ts";

export function listSources(db: Database): readonly StoredSource[] {
  return db.all("select * from sources order by name").map(sourceOf);
}

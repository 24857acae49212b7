import type { EndpointView } from "../../../ports/stores/read-store.ts";
import type { Queries } from "../connection/queries.ts";
import { endpointSelect } from "./selects.ts";
import { endpointViewOf } from "../../sql/view-rows.ts";

export async function getEndpoint(db: Queries, accountId: string, endpointId: string): Promise<EndpointView | null> {
  const row = await db.get(`${endpointSelect} where p.id = $1 and p.account_id = $2`, endpointId, accountId);
  return row === undefined ? null : endpointViewOf(row);
}

import type { EndpointView } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { endpointSelect } from "./selects.ts";
import { endpointViewOf } from "../../sql/view-rows.ts";

export function getEndpoint(db: Database, accountId: string, endpointId: string): EndpointView | null {
  const row = db.get(`${endpointSelect} where p.id = ? and p.account_id = ?`, endpointId, accountId);
  return row === undefined ? null : endpointViewOf(row);
}

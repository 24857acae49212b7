import type { DeliveryView, EventView, TimelineEvent } from "../../../ports/stores/read-store.ts";
import type { Row } from "../../sql/rows.ts";
import { integer } from "../../sql/rows.ts";
import { selectsWith } from "../../sql/reading/selects.ts";
import { deliveryViewOf, eventViewOf } from "../../sql/view-rows.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { seeDeliveries } from "../../sql/marks/seen-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { isStatus, unindexedKey } from "./page.ts";

export { eventSelect } from "../../sql/reading/selects.ts";

/** The columns that `summaryOf` reads; `p` is the endpoint, `h` its host. */
export const summaryColumns = `p.url as callback_url, p.state as p_state, p.reason as p_reason, p.format as p_format, p.request as p_request,
  greatest(p.paused_until, h.paused_until) as p_paused_until`;

export const { watchSelect, hookSelect } = selectsWith(summaryColumns);

export const deliverySelect = `
  select d.*, e.id as event_id, e.type as event_type, e.call_sid, ${summaryColumns},
    p.recoveries as p_recoveries, p.recovered_at as p_recovered_at, a.started_at as last_started_at, a.status_code as last_status_code,
    a.error_code as last_error_code, a.error_detail as last_error_detail,
    case when d.status = 'pending' and d.watch_id is not null then
      (select min(o.sequence) from deliveries o
       where o.watch_id = d.watch_id and ${unindexedKey("o.endpoint_id")} = d.endpoint_id and o.status = 'pending' and o.sequence < d.sequence)
    end as blocked_by
  from deliveries d join events e on e.position = d.event_position join endpoints p on p.id = d.endpoint_id join hosts h on h.id = p.host_id
    left join lateral (select * from attempts where delivery_id = d.id and number = d.attempt_count limit 1) a on true`;

export async function readDeliveryView(db: Queries, accountKey: number, deliveryKey: number): Promise<DeliveryView | null> {
  const marks = await readMarks(db, accountKey);
  const row = await db.get(`${deliverySelect} where d.id = $1 and d.account_id = $2`, deliveryKey, accountKey);
  const [seen] = row === undefined ? [] : await seeDeliveries(db, marks, [row]);
  return seen === undefined ? null : deliveryViewOf(seen);
}

/** SQL expression: the owners of leases, evicted ones included, found by one step of the index for each. */
const leaseOwners = `array(
    with recursive owners (token) as (
      select min(lease_owner) from deliveries where lease_token is not null
      union all
      select (select min(d.lease_owner) from deliveries d where d.lease_token is not null and d.lease_owner > o.token)
      from owners o where o.token is not null)
    select token from owners where token is not null)`;

/** Few deliveries are leased, and the others that are pending are counted by the triggers. */
export const endpointSelect = `
  select p.*, h.origin, h.paused_until as host_paused_until, h.paused_since as host_paused_since,
    (select coalesce(json_agg(k.id order by k.id), '[]')::text from hooks k where k.endpoint_id = p.id) as hook_ids,
    leased.n + coalesce((select n from counts where owner_id = p.id and what = 'unleased'), 0)
      + coalesce((select sum(n) from count_changes where owner_id = p.id and what = 'unleased'), 0) as backlog,
    least(leased.due_at, (select d.due_at from deliveries d
      where d.endpoint_id = p.id and d.status = 'pending' and d.lease_token is null and d.due_at is not null order by d.due_at limit 1),
      (select p.recovered_at from deliveries d
       where d.endpoint_id = p.id and d.status = 'pending' and d.lease_token is null and d.early_after < p.recoveries limit 1)) as oldest_due_at
  from endpoints p join hosts h on h.id = p.host_id cross join lateral (
    select count(*) as n, min(coalesce(d.due_at, d.next_attempt_at)) as due_at from deliveries d
    where d.lease_owner = any(${leaseOwners}) and d.endpoint_id = p.id and d.lease_token is not null and ${isStatus("d.status", "pending")}) leased`;

/** SQL condition: an event has this id. The index holds a hash of it. */
export function hasEventId(column: string, id: string): string {
  return `hashtextextended(${column}, 0) = hashtextextended(${id}, 0) and ${column} = ${id}`;
}

const ofEvent = "d.event_position, d.id, d.endpoint_id, d.status, d.attempt_count, d.next_attempt_at, d.early_after";
const recoveries = "p.recoveries as p_recoveries, p.recovered_at as p_recovered_at";

/** Adds the deliveries to rows of events, in the order given. */
export async function readEventViews(db: Queries, rows: readonly Row[], marks: readonly Mark[]): Promise<readonly EventView[]> {
  const positions = positionsOf(rows);
  const found = await db.all(
    `select ${ofEvent}, ${recoveries} from deliveries d join endpoints p on p.id = d.endpoint_id where d.event_position = any($1) order by d.id`,
    positions,
  );
  const deliveries = Map.groupBy(await seeDeliveries(db, marks, found), (row) => integer(row, "event_position"));
  return rows.map((row, index) => eventViewOf(row, deliveries.get(positions[index] ?? 0) ?? []));
}

/** The same with the first deliveries of each event, and the number of all. Each event reads its own range of the index. */
export async function readTimelineEvents(
  db: Queries,
  rows: readonly Row[],
  marks: readonly Mark[],
  deliveriesOfEach: number,
): Promise<readonly TimelineEvent[]> {
  const positions = positionsOf(rows);
  const found = await db.all(
    `select ${ofEvent}, d.of_event, ${recoveries} from unnest($1::bigint[]) as shown (position) cross join lateral (
       select ${ofEvent}, count(*) over () as of_event from deliveries d where d.event_position = shown.position order by d.id limit $2) d
     join endpoints p on p.id = d.endpoint_id order by d.id`,
    positions,
    deliveriesOfEach,
  );
  const countOf = new Map(found.map((row) => [integer(row, "event_position"), integer(row, "of_event")]));
  const deliveries = Map.groupBy(await seeDeliveries(db, marks, found), (row) => integer(row, "event_position"));
  return rows.map((row, index) => {
    const position = positions[index] ?? 0;
    return { ...eventViewOf(row, deliveries.get(position) ?? []), deliveryCount: countOf.get(position) ?? 0 };
  });
}

function positionsOf(rows: readonly Row[]): readonly number[] {
  return rows.map((row) => integer(row, "position"));
}

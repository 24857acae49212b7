import { selectsWith } from "../../sql/reading/selects.ts";

export { eventSelect } from "../../sql/reading/selects.ts";

/** Columns for `summaryOf`, from an endpoint `p` and its host `h`. */
export const summaryColumns = `p.url as callback_url, p.state as p_state, p.reason as p_reason, p.format as p_format, p.request as p_request,
  nullif(max(coalesce(p.paused_until, 0), coalesce(h.paused_until, 0)), 0) as p_paused_until`;

export const { watchSelect, hookSelect } = selectsWith(summaryColumns);

export const deliverySelect = `
  select d.*, e.id as event_id, e.type as event_type, e.call_sid, ${summaryColumns},
    p.recoveries as p_recoveries, p.recovered_at as p_recovered_at, a.started_at as last_started_at, a.status_code as last_status_code,
    a.error_code as last_error_code, a.error_detail as last_error_detail,
    case when d.status = 'pending' and d.watch_id is not null then
      (select min(o.sequence) from deliveries o
       where o.watch_id = d.watch_id and o.endpoint_id = d.endpoint_id and o.status = 'pending' and o.sequence < d.sequence)
    end as blocked_by
  from deliveries d join events e on e.position = d.event_position join endpoints p on p.id = d.endpoint_id join hosts h on h.id = p.host_id
    left join attempts a on a.delivery_id = d.id and a.number = d.attempt_count`;

const leased =
  "from deliveries d indexed by deliveries_leased where d.endpoint_id = p.id and d.lease_token is not null and d.status = 'pending'";

/** Few deliveries are leased, and the others that are pending are counted by writes. */
export const endpointSelect = `
  select p.*, h.origin, h.paused_until as host_paused_until, h.paused_since as host_paused_since,
    (select json_group_array(k.id order by k.id) from hooks k where k.endpoint_id = p.id) as hook_ids,
    p.unleased + (select count(*) ${leased}) as backlog,
    (select min(at) from (
       select min(coalesce(d.due_at, d.next_attempt_at)) as at ${leased}
       union all
       select min(d.due_at) from deliveries d indexed by deliveries_due
       where d.endpoint_id = p.id and d.status = 'pending' and d.lease_token is null and d.due_at is not null
       union all
       select p.recovered_at where exists (select 1 from deliveries d indexed by deliveries_early
         where d.endpoint_id = p.id and d.status = 'pending' and d.lease_token is null and d.early_after < p.recoveries))) as oldest_due_at
  from endpoints p join hosts h on h.id = p.host_id`;

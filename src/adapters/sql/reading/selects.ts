/** Builds the selects that differ between the databases in the columns for `summaryOf` alone. */
export function selectsWith(summaryColumns: string) {
  const watchSelect = `
  select w.*, c.source_name, c.call_sid, c.status as c_status, c.reason as c_reason, c.details as c_details, c.terminal as c_terminal, c.observed_at as c_observed_at,
    c.last_good_poll_at as c_last_good_poll_at, c.mark as c_mark, ${summaryColumns},
    (select count(*) from deliveries d where d.watch_id = w.id and d.status = 'pending') as pending_deliveries
  from watches w join calls c on c.id = w.call_id left join endpoints p on p.id = w.endpoint_id left join hosts h on h.id = p.host_id`;
  const hookSelect = `
  select k.id, k.account_id, k.events, k.created_at, k.endpoint_id, ${summaryColumns}
  from hooks k join endpoints p on p.id = k.endpoint_id join hosts h on h.id = p.host_id`;
  return { watchSelect, hookSelect };
}

export const eventSelect =
  "select e.position, e.id as event_id, e.account_id, e.type as event_type, e.timestamp, e.data, e.sequence, e.watch_id from events e";

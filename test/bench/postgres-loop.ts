import pg from "pg";

/**
 * Writes for each watch of a database one transition after the other as the store does, in its tables with their indexes, and
 * nothing else: the event with its delivery, the call and the watch in one transaction; the delivered attempt in the next.
 * Each transaction is a batch. Returns the transitions a second, two transactions at a time.
 */
export async function transitionsOfLoop(url: string, statuses: readonly string[], batchSize: number): Promise<number> {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  // A connection that breaks rejects its statement. `end` returns before the connections are closed, and the server may stop then.
  pool.on("error", () => undefined);
  try {
    const { rows } = await pool.query<{ id: string }>("select id from watches order by id");
    const keys = rows.map(({ id }) => id);
    const startedMs = performance.now();
    const worker = async (): Promise<void> => {
      for (let batch = keys.splice(0, batchSize / connections); batch.length > 0; batch = keys.splice(0, batchSize / connections))
        for (const [index, status] of statuses.entries()) await writeBatch(pool, batch, index, status);
    };
    await Promise.all(Array.from({ length: connections }, worker));
    return (rows.length * statuses.length) / ((performance.now() - startedMs) / 1000);
  } finally {
    await pool.end();
  }
}

const connections = 2;

async function writeBatch(pool: pg.Pool, watchKeys: readonly string[], index: number, status: string): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const { rows } = await client.query<{ id: string }>(insertTransitions, [watchKeys, `call.${status}`, index + 1, Date.now()]);
    await client.query(updateCalls, [watchKeys, status, Date.now()]);
    await client.query(updateWatches, [watchKeys, index + 1]);
    await client.query("commit");
    await client.query(settleDeliveries, [rows.map(({ id }) => id), Date.now()]);
  } finally {
    client.release();
  }
}

const insertTransitions = `
  with given as (select w.id, w.account_id, w.endpoint_id, c.call_sid from watches w join calls c on c.id = w.call_id where w.id = any($1)),
  new_events as (
    insert into events (feed_order, id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at)
    select 0, 'evt_' || replace(gen_random_uuid()::text, '-', ''), g.account_id, g.id, g.call_sid, $2, false, $3::integer, $4::bigint, '{"status":"calling","previous_status":"queued","reason":""}', $4::bigint
    from given g returning position, account_id, watch_id, sequence)
  insert into deliveries (id, account_id, event_position, endpoint_id, watch_id, sequence, terminal, status, lease_owner, lease_token, next_attempt_at, due_at, created_at)
  select e.position, e.account_id, e.position, g.endpoint_id, e.watch_id, e.sequence, false, 'pending', 1, nextval('lease_tokens'), $4::bigint, $4::bigint, $4::bigint
  from new_events e join given g on g.id = e.watch_id returning id`;

const updateCalls = `
  update calls set status = $2, observed_at = $3, last_good_poll_at = $3, transitions = transitions + 1, version = version + 1
  where id = any(array(select call_id from watches where id = any($1)))`;

const updateWatches = "update watches set sequence = $2 where id = any($1)";

const settleDeliveries = `
  update deliveries set status = 'delivered', attempt_count = 1, next_attempt_at = null, due_at = null, first_attempt_at = $2, settled_at = $2,
    attempt_duration_ms = 1, attempt_status_code = 200, lease_owner = null, lease_token = null where id = any($1)`;

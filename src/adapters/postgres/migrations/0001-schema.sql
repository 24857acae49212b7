-- Times are epoch milliseconds (bigint), by the engine's clock, except for the leases of instances: those are granted and
-- judged by the database's own clock. Ids are integers that sort by time; domain/ids.ts writes their public texts. Every
-- index names the query that needs it.
--
-- Locks are taken in one order everywhere: the instance, accounts, calls, watches, hooks, endpoints, hosts; within a table by id.
-- A call's row serialises its transitions with registrations, a watch's row its lanes, an endpoint's row everything that
-- changes a pending delivery of it. An account's row outlives its other rows, so hot tables have no foreign key to it.

-- Processes of the service. The deletion of a row frees everything that the instance owned.
create table instances (
  -- The fencing token, never used twice.
  token bigint generated always as identity primary key,
  -- Its part of the ids: no two instances have the same.
  slot integer not null unique,
  lease_until timestamptz not null,
  started_at timestamptz not null default clock_timestamp(),
  version text not null,
  -- Its part of each source, as of its last heartbeat.
  shares jsonb not null default '{}',
  -- The encryption keys that it was started with.
  key_ids text[] not null default '{}'
);

create table accounts (
  id bigint primary key,
  name text not null unique,
  uses_default_source boolean not null,
  sealed_signing_key bytea not null,
  public_key text not null,
  default_secret_id bigint,
  disabled_at bigint,
  -- Number of times that it was disabled: what began before the last of them has ended.
  disablings integer not null default 0,
  -- When its removal began: its rows are erased, and its keys are unknown.
  removed_at bigint,
  may_place boolean not null default false,
  -- JSON list of the prefixes that numbers must have; null: any number.
  place_to text,
  place_per_minute integer,
  place_per_day integer,
  -- To the minute, and so are the polls: those of the newest minute in which its calls were polled.
  last_request_at bigint,
  polls_minute bigint,
  polls integer not null default 0,
  created_at bigint not null
);
-- Deletion of a secret asks whether it is a default.
create index accounts_by_default_secret on accounts (default_secret_id) where default_secret_id is not null;
-- Disabled accounts, whose calls and hosts every reader passes over.
create index accounts_disabled on accounts (id) where disabled_at is not null;

create table api_keys (
  id bigint primary key,
  -- null: an operator's key.
  account_id bigint references accounts (id),
  name text not null,
  fingerprint text collate "C" not null unique,
  -- JSON list; null: all scopes.
  scopes text,
  expires_at bigint,
  -- When key.expiring was published.
  announced_at bigint,
  -- To the minute.
  last_used_at bigint,
  created_at bigint not null,
  revoked_at bigint
);
-- Keys of an account.
create index api_keys_by_account on api_keys (account_id, id);
-- Keys that expire soon and of which no event was published.
create index api_keys_by_expiry on api_keys (expires_at) where expires_at is not null and account_id is not null and revoked_at is null and announced_at is null;

-- A secret is a row of its own, so that an account's default may serve many endpoints.
create table secrets (
  id bigint primary key,
  account_id bigint not null references accounts (id),
  sealed bytea not null,
  fingerprint text collate "C" not null,
  created_at bigint not null
);
-- Removal of an account.
create index secrets_by_account on secrets (account_id, id);

alter table accounts add foreign key (default_secret_id) references secrets (id);

create table calls (
  id bigint primary key,
  source_name text collate "C" not null,
  -- The account that the call belongs to, if its source serves each account apart; 0 if accounts share it.
  scope bigint not null,
  call_sid text collate "C" not null,
  status text,
  reason text not null default '',
  -- JSON object of the details that the source reads; null: none.
  details text,
  terminal boolean not null default false,
  observed_at bigint,
  last_good_poll_at bigint,
  -- Grows with every committed change. A writer names the version that it expects.
  version integer not null default 1,
  -- Number of the last transition, which hooks are notified of once.
  transitions integer not null default 0,
  -- The oldest watch whose first event waits for the next good poll, although the status was known when it was registered
  -- (it was not current); null: none.
  unnotified_from bigint,
  -- JSON of the last commit while it is not written for all watches of the call (domain/calls/call-mark.ts). No other
  -- commit is accepted before it is done.
  mark text,
  created_at bigint not null,
  -- Whether an active watch has it: only then it is polled.
  watched boolean not null default true,
  -- The instance that polls it: a token of `instances`. null, or a token without a row: no instance polls it.
  owner_token bigint,
  -- Another instance changed its watches since the owner read them (by the database's clock); the owner clears it.
  touched_at bigint,
  unique (call_sid, source_name, scope)
) with (fillfactor = 80);
-- Calls of an owner; calls without one.
create index calls_watched on calls (owner_token, id) where watched;
-- Calls with a running mark: lists and quotas read their watches through it.
create index calls_marked on calls (id) where mark is not null;
-- Calls that their owner must read again.
create index calls_touched on calls (owner_token) where touched_at is not null;

-- One row for all endpoints of an account on one scheme, host and port: they pause together. Failing endpoints have a
-- bound of their own, so that a claim without capacity for them passes all of them in one step. Both are lower bounds:
-- deliveries/due-bounds.ts says what holds of them.
create table hosts (
  id bigint generated always as identity primary key,
  account_id bigint not null,
  origin text collate "C" not null,
  paused_until bigint,
  -- When the pause that ends at paused_until began.
  paused_since bigint,
  consecutive_pauses integer not null default 0,
  -- Newest 429s: by the last endpoint that sent one, and by any other.
  rate_limited_endpoint_id bigint,
  rate_limited_at bigint,
  other_rate_limited_at bigint,
  next_due_at bigint,
  failing_due_at bigint,
  unique (account_id, origin)
) with (fillfactor = 80);
-- Claims.
create index hosts_due on hosts (next_due_at) where next_due_at is not null;
create index hosts_failing_due on hosts (failing_due_at) where failing_due_at is not null;
-- Hosts of an account that is enabled again, or removed.
create index hosts_by_account on hosts (account_id, id);

create table endpoints (
  id bigint primary key,
  account_id bigint not null,
  url text collate "C" not null,
  host_id bigint not null references hosts (id),
  format text not null,
  -- JSON of the request template; null unless the format is `template`.
  request text,
  header_names text not null,
  sealed_headers bytea,
  headers_fingerprint text,
  signatures text not null,
  late text not null,
  max_in_flight integer,
  max_per_second double precision,
  state text not null,
  reason text,
  since bigint,
  consecutive_failures integer not null default 0,
  failing boolean not null generated always as (consecutive_failures > 0) stored,
  failing_since bigint,
  last_success_at bigint,
  paused_until bigint,
  -- When the pause that ends at paused_until began.
  paused_since bigint,
  consecutive_pauses integer not null default 0,
  pause_reason text,
  -- How often a 2xx followed a failure, and when it last did.
  recoveries integer not null default 0,
  recovered_at bigint,
  -- Whether `endpoint.failing` was published, and `endpoint.recovered` not yet.
  reported_failing boolean not null default false,
  next_due_at bigint,
  -- Number of running marks during which none of its deliveries may be claimed.
  held integer not null default 0,
  -- Number of 410s after which its watches ended.
  retirements integer not null default 0,
  created_at bigint not null,
  unique (account_id, url)
) with (fillfactor = 80);
-- Claims.
create index endpoints_due on endpoints (host_id, failing, next_due_at) where state = 'enabled' and held = 0 and next_due_at is not null;
-- Bounds of a host; deletion of an unused host.
create index endpoints_by_host on endpoints (host_id);
-- Endpoints of an account.
create index endpoints_by_account on endpoints (account_id, id);
-- Expiry of what paused and disabled endpoints kept; the gauge of endpoints.
create index endpoints_not_enabled on endpoints (id, state) where state <> 'enabled';

-- Attempts of endpoints, for their success rates: by minute for 2 h, by hour for 8 days, by day for the retention
-- (domain/deliveries/success-rate.ts). A count that every transaction adds to would let one wait for the other, so attempts
-- are only inserted, and folded into the counts now and then. The truth is the sum of both.
create table endpoint_attempts (
  endpoint_id bigint not null references endpoints (id) on delete cascade,
  at bigint not null,
  span integer not null,
  succeeded integer not null,
  failed integer not null,
  primary key (endpoint_id, at, span)
);
-- Counts that are old enough for a longer span.
create index endpoint_attempts_by_age on endpoint_attempts (span, at);
create table endpoint_attempt_changes (
  id bigint generated always as identity primary key,
  endpoint_id bigint not null,
  at bigint not null,
  succeeded integer not null,
  failed integer not null
);
create index endpoint_attempt_changes_by_endpoint on endpoint_attempt_changes (endpoint_id);

-- What happened in an account, for pictures over time: spans as of the attempts above, kinds of domain/activity.ts. The truth
-- is the sum of both tables here too.
create table account_activity (
  account_id bigint not null,
  at bigint not null,
  span integer not null,
  kind integer not null,
  n bigint not null,
  primary key (account_id, at, span, kind)
);
-- Counts that are old enough for a longer span.
create index account_activity_by_age on account_activity (span, at);
create table account_activity_changes (
  id bigint generated always as identity primary key,
  account_id bigint not null,
  at bigint not null,
  kind integer not null,
  n integer not null
);
create index account_activity_changes_by_account on account_activity_changes (account_id);

-- The current secret has no valid_until; the previous one signs until its own.
create table endpoint_secrets (
  position bigint generated always as identity primary key,
  endpoint_id bigint not null references endpoints (id) on delete cascade,
  secret_id bigint not null references secrets (id),
  valid_until bigint
);
-- Secrets of a target.
create index endpoint_secrets_by_endpoint on endpoint_secrets (endpoint_id);
-- Deletion of a secret asks whether an endpoint signs with it.
create index endpoint_secrets_by_secret on endpoint_secrets (secret_id);

create table watches (
  id bigint primary key,
  account_id bigint not null,
  call_id bigint not null references calls (id),
  endpoint_id bigint references endpoints (id),
  events text,
  metadata text not null,
  -- The registration's `traceparent`.
  trace text,
  status text not null,
  end_reason text,
  sequence integer not null default 0,
  created_at bigint not null,
  expires_at bigint not null,
  ended_at bigint,
  -- Version of the call whose mark was running when the watch was registered: the mark does not hold for the watch.
  spared_by integer,
  -- When the client deleted it; its status may be older.
  deleted_at bigint,
  -- When `call.overdue` was published.
  overdue_at bigint,
  -- That of its endpoint when it was registered.
  retirements integer not null default 0
) with (fillfactor = 80);
-- Watches that become overdue, oldest first.
create index watches_overdue on watches (created_at) where status = 'active' and overdue_at is null;
-- Watches of a transition; the oldest and the youngest of a call.
create index watches_active on watches (call_id, id) where status = 'active';
-- Quota of an account on a call, its oldest watch of a call, portions of a transition.
create index watches_active_of_account on watches (call_id, account_id, id) where status = 'active';
-- Earliest deadline of a call, watches that expire.
create index watches_deadlines on watches (call_id, expires_at) where status = 'active';
-- watches?status=, and without a filter one range for each status.
create index watches_by_status on watches (account_id, status, id);
-- watches?call_sid=, repeated registrations, calls of an account.
create index watches_by_call on watches (call_id, account_id, endpoint_id, id);
-- Endings by a 410; deletion of an endpoint.
create index watches_by_endpoint on watches (endpoint_id, status, id) where endpoint_id is not null;
-- Retention.
create index watches_ended on watches (ended_at, id) where ended_at is not null;

-- One row for each pair of a watch's metadata: watches?metadata.<key>=. The hash is of key and value; the watch has both.
create table watch_metadata (
  account_id bigint not null,
  hash bigint not null,
  watch_id bigint not null references watches (id) on delete cascade,
  primary key (account_id, hash, watch_id)
);
-- Deletion of a watch.
create index watch_metadata_by_watch on watch_metadata (watch_id);

create table hooks (
  id bigint primary key,
  account_id bigint not null,
  endpoint_id bigint not null references endpoints (id),
  -- JSON of the filter (domain/events/event-filter.ts); null: every event about a call or watch.
  events text,
  -- Set while the endpoint is disabled after a 410.
  disabled_at bigint,
  created_at bigint not null
);
-- Hooks of an account, for lists and transitions.
create index hooks_by_account on hooks (account_id, id);
-- Hooks of an endpoint.
create index hooks_by_endpoint on hooks (endpoint_id);

-- The last transition of a call that a hook was sent, by whichever watch.
create table hook_progress (
  call_id bigint not null references calls (id) on delete cascade,
  hook_id bigint not null references hooks (id) on delete cascade,
  transition integer not null,
  primary key (call_id, hook_id)
);
-- Deletion of a hook.
create index hook_progress_by_hook on hook_progress (hook_id);

-- Periods of the feed, in the order of their ids. A cursor names one and a place; it is valid if the place is before the
-- next period. Written under an advisory lock, so that (feed_order, first_position) rises with the id.
create table feed_epochs (
  id bigint generated always as identity primary key,
  epoch bytea not null unique,
  -- Every event that is written from here on has at least this place.
  feed_order bigint not null,
  first_position bigint not null,
  -- Server, database, timeline and start of the server that it was written on; null: moved from SQLite.
  origin text,
  created_at bigint not null
);

-- Where the feed of an account begins: behind the newest event that retention deleted.
create table feed_starts (
  account_id bigint primary key references accounts (id) on delete cascade,
  feed_order bigint not null,
  position bigint not null
);

-- The feed shows events by (feed_order, position). feed_order is the number of the transaction that wrote the event, so
-- everything below the oldest transaction that still runs is complete: nothing can appear there any more.
create table events (
  position bigint generated always as identity primary key,
  feed_order bigint not null,
  account_id bigint not null,
  watch_id bigint references watches (id) on delete cascade,
  timestamp bigint not null,
  created_at bigint not null,
  sequence integer,
  terminal boolean not null,
  -- A hash of the facts, so it is unique where (watch_id, sequence) is.
  id text collate "C" not null,
  call_sid text collate "C",
  type text collate "C" not null,
  data text not null,
  unique (watch_id, sequence)
);
-- GET /v1/events/{id}. Ids are random, so each entry is written to a page of its own: a third of the size is a third of the pages.
create index events_by_id on events (hashtextextended(id, 0));
-- The feed.
create index events_by_account on events (account_id, feed_order, position);
-- events?type=, events?type=terminal, hooks/sample.
create index events_by_type on events (account_id, type, terminal, feed_order, position);
-- What was committed since, over all accounts, for waiting readers.
create index events_by_feed on events (feed_order, position);
-- Retention of events about no watch.
create index events_unwatched on events (created_at) where watch_id is null;
-- events?call_sid=, for operational events, which have no sequence.
create index events_operational_by_call on events (account_id, call_sid) where sequence is null and call_sid is not null;

-- Added to the transaction's number: a copy that was restored into another server continues where the original was, although
-- that server numbers its transactions by itself.
create table feed_base (
  base bigint not null,
  -- Highest feed_order of an event that was purged while it was the newest one.
  purged_to bigint not null default 0
);
insert into feed_base values (0);

create sequence lease_tokens;

-- The widest columns are first, which saves the space between them.
create table deliveries (
  id bigint primary key,
  account_id bigint not null,
  event_position bigint not null references events (position) on delete cascade,
  endpoint_id bigint not null,
  watch_id bigint,
  next_attempt_at bigint,
  -- When it may be claimed; null while it waits for an earlier one of its lane.
  due_at bigint,
  -- Regular time of the next attempt, after one that was brought forward was deferred.
  scheduled_at bigint,
  -- The endpoint's recoveries when the last step was spent; null: no recovery brings it forward.
  last_recovery integer,
  -- The same, as far as no earlier one of its lane goes first. It may be claimed if the endpoint has more recoveries.
  early_after integer,
  first_attempt_at bigint,
  first_failed_at bigint,
  settled_at bigint,
  -- The instance that holds the lease (a token of `instances`) and the number of the lease (`lease_tokens`): both or neither.
  lease_owner bigint,
  lease_token bigint,
  -- When a manual retry was accepted; null once any attempt is recorded after it.
  retry_accepted_at bigint,
  created_at bigint not null,
  -- Its place in the lane (watch, endpoint); null: it is in no lane and waits for no other.
  sequence integer,
  attempt_count integer not null default 0,
  steps_spent integer not null default 0,
  -- The first attempt of a delivery that it delivered without further effects, in place of a row of attempts. It began at
  -- first_attempt_at. null: its attempts have rows.
  attempt_duration_ms integer,
  attempt_status_code integer,
  terminal boolean not null,
  status text not null,
  attempt_response_excerpt text
) with (fillfactor = 80);
-- Claims. A delivery that is inserted with a lease and settled by its first attempt is never in it.
create index deliveries_due on deliveries (endpoint_id, due_at, id) where status = 'pending' and lease_token is null and due_at is not null;
-- Claims of what a recovery brings forward. Only a failed delivery is in it.
create index deliveries_early on deliveries (endpoint_id, early_after, id) where status = 'pending' and lease_token is null and early_after is not null;
-- Lanes of a watch, which have few deliveries.
create index deliveries_in_lane on deliveries (watch_id) where status = 'pending' and watch_id is not null;
-- Deliveries in flight, by instance and endpoint; deliveries?status=pending, as far as they are leased.
create index deliveries_leased on deliveries (lease_owner, endpoint_id) where lease_token is not null;
-- Deliveries of an event; events of a watch lead to deliveries?watch_id=.
create index deliveries_by_event on deliveries (event_position);
-- deliveries?status=, and without a filter one range for each status. A delivery that is inserted with a lease gets its first
-- entry when it is settled.
create index deliveries_by_status on deliveries (account_id, status, id) where status <> 'pending' or lease_token is null;
-- deliveries?endpoint_id=&status= alike.
create index deliveries_by_endpoint on deliveries (endpoint_id, status, id);
-- Manual retries, from their acceptance to the record of their attempt, that no instance has leased.
create index deliveries_retried on deliveries (retry_accepted_at) where retry_accepted_at is not null and lease_token is null;

create table attempts (
  delivery_id bigint not null references deliveries (id) on delete cascade,
  number integer not null,
  started_at bigint not null,
  duration_ms integer not null,
  status_code integer,
  error_code text,
  error_detail text,
  response_excerpt text,
  decision text not null,
  primary key (delivery_id, number)
);

-- Counts for quotas, gauges and backlogs: counting rows would cost the more the fuller an account is, and a counter that every
-- transaction adds to would let one transaction wait for the other. So changes are only inserted, by the triggers below,
-- and folded into the counts now and then. The truth is the sum of both. The owner of `watches <status>` and `endpoints` is
-- an account, of `unleased` an endpoint, of `deliveries <status>` 0. `stored bytes` are those of the account's stored answers. `unleased` counts the pending deliveries without a
-- lease, so that a delivery that is inserted with a lease and settled by its first attempt changes no backlog.
create table counts (
  owner_id bigint not null,
  what text not null,
  n bigint not null,
  primary key (owner_id, what)
);
-- Gauges.
create index counts_by_what on counts (what) where what <> 'unleased';
create table count_changes (
  id bigint generated always as identity primary key,
  owner_id bigint not null,
  what text not null,
  n bigint not null
);
create index count_changes_by_owner on count_changes (owner_id);

-- A purged watch is in no count, although its row waits for the end of its mark.
create function count_watches() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into count_changes (owner_id, what, n) select account_id, 'watches ' || status, count(*) from made group by account_id, status;
  elsif tg_op = 'DELETE' then
    insert into count_changes (owner_id, what, n)
      select account_id, 'watches ' || status, -count(*) from gone where status <> 'purged' group by account_id, status;
  else
    insert into count_changes (owner_id, what, n)
      select account_id, 'watches ' || status, sum(n)
      from (select account_id, status, 1 as n from made union all select account_id, status, -1 from gone) changed
      where status <> 'purged' group by account_id, status having sum(n) <> 0;
  end if;
  return null;
end $$;
create trigger watches_made after insert on watches referencing new table as made for each statement execute function count_watches();
create trigger watches_changed after update on watches referencing new table as made old table as gone for each statement execute function count_watches();
create trigger watches_gone after delete on watches referencing old table as gone for each statement execute function count_watches();

create function count_deliveries() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into count_changes (owner_id, what, n)
      select 0, 'deliveries ' || status, count(*) from made group by status
      union all select endpoint_id, 'unleased', count(*) from made where status = 'pending' and lease_token is null group by endpoint_id;
  elsif tg_op = 'DELETE' then
    insert into count_changes (owner_id, what, n)
      select 0, 'deliveries ' || status, -count(*) from gone group by status
      union all select endpoint_id, 'unleased', -count(*) from gone where status = 'pending' and lease_token is null group by endpoint_id;
  else
    insert into count_changes (owner_id, what, n)
      select 0, 'deliveries ' || status, sum(n)
      from (select status, 1 as n from made union all select status, -1 from gone) changed
      group by status having sum(n) <> 0
      union all select endpoint_id, 'unleased', sum(n)
      from (
        select endpoint_id, 1 as n from made where status = 'pending' and lease_token is null
        union all select endpoint_id, -1 from gone where status = 'pending' and lease_token is null) changed
      group by endpoint_id having sum(n) <> 0;
  end if;
  return null;
end $$;
create trigger deliveries_made after insert on deliveries referencing new table as made for each statement execute function count_deliveries();
create trigger deliveries_changed after update on deliveries referencing new table as made old table as gone for each statement execute function count_deliveries();
create trigger deliveries_gone after delete on deliveries referencing old table as gone for each statement execute function count_deliveries();

create function count_endpoints() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into count_changes (owner_id, what, n) select account_id, 'endpoints', count(*) from made group by account_id;
  else
    insert into count_changes (owner_id, what, n) select account_id, 'endpoints', -count(*) from gone group by account_id;
  end if;
  return null;
end $$;
create trigger endpoints_made after insert on endpoints referencing new table as made for each statement execute function count_endpoints();
create trigger endpoints_gone after delete on endpoints referencing old table as gone for each statement execute function count_endpoints();

-- Sources that the operator set by the command line. The environment's source and the sandbox have no rows.
create table sources (
  id bigint primary key,
  name text collate "C" not null unique,
  -- null: every account may use it.
  account_id bigint references accounts (id),
  kind text not null,
  base_url text not null,
  sealed_credential bytea not null,
  agent_id text,
  environment text,
  -- JSON of a `json` source, and of the status map; null: none.
  definition text,
  status_map text,
  max_polls_per_second double precision not null,
  -- Grows with every change.
  revision integer not null default 1,
  removed_at bigint,
  created_at bigint not null,
  updated_at bigint not null
);
-- Retention of removed sources.
create index sources_removed on sources (removed_at) where removed_at is not null;

-- Times that calls of a source spend in a status, as all instances observed them (domain/freshness/age-histogram.ts).
create table status_ages (
  source_name text collate "C" not null,
  status text collate "C" not null,
  -- Number of changes that were ever observed.
  changes bigint not null,
  ages bytea not null,
  primary key (source_name, status)
);

-- Keys of hashes that cannot be recomputed, because only their owners know the hashed values.
create table hash_keys (
  name text primary key,
  sealed bytea not null
);

-- Answers to requests with an Idempotency-Key, until the key expires. The id is a hash of account, method, path and key;
-- `sealed` holds the answer.
create table stored_answers (
  id text primary key,
  account_id bigint not null,
  -- Keyed hash of the request's body, by which another request is refused without opening the answer.
  request_hash text not null,
  sealed bytea not null,
  -- For a test whose attempt is not recorded yet: the delivery that will be the answer.
  delivery_id bigint references deliveries (id) on delete cascade,
  -- Whether it takes none of the room that the account has for stored answers: the answer of a placing.
  own_room boolean not null default false,
  expires_at bigint not null
);
create index stored_answers_by_account on stored_answers (account_id, expires_at);
create index stored_answers_by_delivery on stored_answers (delivery_id) where delivery_id is not null;
-- Retention.
create index stored_answers_by_expiry on stored_answers (expires_at);
-- The watches that an answer shows. A purge of one deletes the answer. No foreign key to the watch, which may go first.
create table stored_answer_watches (
  watch_id bigint not null,
  answer_id text not null references stored_answers (id) on delete cascade,
  primary key (watch_id, answer_id)
);
create index stored_answer_watches_by_answer on stored_answer_watches (answer_id);

create function count_stored_answers() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into count_changes (owner_id, what, n) select account_id, 'stored bytes', sum(octet_length(sealed)) from made where not own_room group by account_id;
  elsif tg_op = 'DELETE' then
    insert into count_changes (owner_id, what, n) select account_id, 'stored bytes', -sum(octet_length(sealed)) from gone where not own_room group by account_id;
  else
    insert into count_changes (owner_id, what, n)
      select account_id, 'stored bytes', sum(n)
      from (
        select account_id, octet_length(sealed) as n from made where not own_room
        union all select account_id, -octet_length(sealed) from gone where not own_room) changed
      group by account_id having sum(n) <> 0;
  end if;
  return null;
end $$;
create trigger stored_answers_made after insert on stored_answers referencing new table as made for each statement execute function count_stored_answers();
create trigger stored_answers_changed after update on stored_answers referencing new table as made old table as gone for each statement execute function count_stored_answers();
create trigger stored_answers_gone after delete on stored_answers referencing old table as gone for each statement execute function count_stored_answers();

-- Calls asked for by POST /v1/calls. The key's hash is unique while its placing counts.
create table placings (
  id bigint primary key,
  account_id bigint not null references accounts (id),
  source_name text collate "C" not null,
  idempotency_key text collate "C" not null,
  key_hash text,
  call_hash text not null,
  state text not null,
  call_sid text,
  watch_id bigint,
  metadata text not null,
  -- The watch that was asked for, until the placing is settled: a SID that a person finds makes it.
  sealed_request bytea,
  -- When another process may take the sender for ended; null: the placing does not wait for one.
  lease_until bigint,
  created_at bigint not null,
  unique (account_id, key_hash)
);
-- placings?state=.
create index placings_by_state on placings (account_id, state, id);
-- placings, and how many an account made of late.
create index placings_by_account on placings (account_id, id);
-- Placings whose outcome is not known yet.
create index placings_sending on placings (lease_until) where state = 'sending';
-- Purge of a watch.
create index placings_by_watch on placings (watch_id) where watch_id is not null;

create table portal_links (
  id bigint primary key,
  account_id bigint not null references accounts (id),
  key_id bigint not null references api_keys (id),
  can text not null,
  token_hash text not null unique,
  session_hash text unique,
  frame_ancestors text,
  created_at bigint not null,
  expires_at bigint not null,
  used_at bigint,
  revoked_at bigint
);
-- Links of an account.
create index portal_links_by_account on portal_links (account_id, id);
-- Links that end with their key.
create index portal_links_by_key on portal_links (key_id);
-- Retention.
create index portal_links_ended on portal_links (coalesce(revoked_at, expires_at));

-- Sessions that a user signed out of, until they would have expired. A sealed cookie cannot be changed where it was copied to.
create table ended_sessions (
  hash text primary key,
  key_id bigint not null,
  expires_at bigint not null
);
-- The newest of a key.
create index ended_sessions_by_key on ended_sessions (key_id, expires_at);
-- Retention.
create index ended_sessions_expired on ended_sessions (expires_at);

-- What keys, portals, the command line and the operator changed.
create table audit (
  id bigint primary key,
  account_id bigint references accounts (id),
  at bigint not null,
  action text not null,
  target_kind text not null,
  target_id text collate "C" not null,
  actor_kind text not null,
  actor_id text,
  actor_name text,
  address text,
  forwarded_for text,
  detail text not null
);
-- GET /v1/audit, with and without action.
create index audit_by_account on audit (account_id, id);
create index audit_by_action on audit (account_id, action, id);
-- An action of all accounts, for the operator.
create index audit_of_all_by_action on audit (action, id);
-- The row whose id is the most seconds ahead of its time, which bounds the ids until a time: an id has 2^23 keys a second from 2020 on.
create index audit_by_ahead on audit ((id / 8388608 - (at - 1577836800000) / 1000));
-- Retention.
create index audit_by_time on audit (at);

-- Rows of audit by account, so that retention finds accounts with too many of them.
create table audit_counts (
  account_id bigint primary key references accounts (id) on delete cascade,
  n integer not null
);
-- Retention.
create index audit_counts_full on audit_counts (n) where n > 100000;

-- Work on many rows: one row changed at once, the rest in portions, in the order of ids.
create table marks (
  id bigint primary key,
  kind text not null,
  account_id bigint not null,
  target_id bigint not null,
  -- The mark holds for rows up to this id or position.
  last_id bigint not null,
  -- Everything up to this id or position is done.
  done_id bigint not null default 0,
  -- Number of rows that it settles and that the counters still count as they were.
  remaining bigint not null default 0,
  -- JSON, by kind: domain/deliveries/marks.ts.
  detail text not null,
  created_at bigint not null
);
-- The marks of an account, in the order in which they are carried out.
create index marks_by_account on marks (account_id, id);
-- The marks above a row.
create index marks_by_target on marks (target_id, id);

-- The newest key that a command line reserved: all command lines share one slot of ids.
create table command_line_keys (
  newest bigint not null
);
insert into command_line_keys values (-1);

-- A sealed value begins with the id of its key: the ids in use are read in as many steps as there are keys.
create index accounts_by_key on accounts (substr(sealed_signing_key, 1, 8), id);
create index secrets_by_key on secrets (substr(sealed, 1, 8), id);
create index endpoints_by_key on endpoints (substr(sealed_headers, 1, 8), id) where sealed_headers is not null;
create index sources_by_key on sources (substr(sealed_credential, 1, 8), id);
create index hash_keys_by_key on hash_keys (substr(sealed, 1, 8), name);
create index stored_answers_by_key on stored_answers (substr(sealed, 1, 8), id);
create index placings_by_key on placings (substr(sealed_request, 1, 8), id) where sealed_request is not null;

-- Suspension, circuit and throttle of each source, as the first instance to see them wrote them. The versions come from
-- one sequence, so that a row that was deleted and inserted again is newer than all that an instance remembers of it.
create table source_gates (
  source_name text primary key,
  -- null: not suspended.
  reason text,
  since bigint,
  suspension_version bigint not null default 0,
  throttled_until bigint,
  rate_factor double precision not null default 1,
  throttle_version bigint not null default 0
);
create sequence gate_versions;

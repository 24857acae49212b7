-- Times are epoch milliseconds (bigint), as the engine's clock gives them, except for the leases of instances: those are
-- granted and judged by the database's own clock.
--
-- Ids are compared by their bytes, whatever the database's language: that is their order in time.
--
-- Locks are taken in one order everywhere: the instance, accounts, calls, watches, hooks, endpoints, hosts; within a table by id.
-- A call's row serialises its transitions with registrations, a watch's row its lanes, an endpoint's row everything that
-- changes a delivery owed to it. Accounts are never deleted, so hot tables spare themselves the foreign key to them.

-- A process of the service; deleting its row frees whatever it owned.
create table instances (
  -- The fencing token: never given twice.
  token bigint generated always as identity primary key,
  lease_until timestamptz not null,
  started_at timestamptz not null default clock_timestamp(),
  version text not null,
  -- What it has of each source, as of its last heartbeat.
  shares jsonb not null default '{}'
);

create table accounts (
  id text collate "C" primary key,
  name text not null unique,
  uses_default_source boolean not null,
  sealed_signing_key bytea not null,
  public_key text not null,
  default_secret_id text collate "C",
  created_at bigint not null
);
create index accounts_by_default_secret on accounts (default_secret_id) where default_secret_id is not null;

create table api_keys (
  id text collate "C" primary key,
  account_id text collate "C" not null references accounts (id),
  name text not null,
  fingerprint text collate "C" not null unique,
  created_at bigint not null,
  revoked_at bigint
);

-- A secret is a row of its own, so that an account's default may serve many endpoints.
create table secrets (
  id text collate "C" primary key,
  account_id text collate "C" not null references accounts (id),
  sealed bytea not null,
  fingerprint text collate "C" not null,
  created_at bigint not null
);
alter table accounts add foreign key (default_secret_id) references secrets (id);

create table calls (
  id text collate "C" primary key,
  source_name text collate "C" not null,
  scope text collate "C" not null,
  call_sid text collate "C" not null,
  status text,
  reason text not null default '',
  terminal boolean not null default false,
  observed_at bigint,
  last_good_poll_at bigint,
  -- Grows with every committed change; what a writer expects to find.
  version integer not null default 1,
  -- Counts what hooks are told once.
  transitions integer not null default 0,
  created_at bigint not null,
  -- Whether an active watch looks at it: only then somebody polls it.
  watched boolean not null default true,
  -- The instance that polls it: a token of `instances`. null, or one that is not there any more: nobody does.
  owner_token bigint,
  -- Another instance changed its watches since the owner looked (by the database's clock); the owner clears it.
  touched_at bigint,
  unique (call_sid, source_name, scope)
) with (fillfactor = 80);
create index calls_watched on calls (owner_token, id) where watched;
create index calls_touched on calls (owner_token) where touched_at is not null;

-- One row for all of an account's endpoints on one scheme, host and port: they pause together. Endpoints with failures
-- behind them have a bound of their own, so that a claim without room for them passes them all in one step.
-- Both are lower bounds; what holds of them is written in tables/due.ts.
create table hosts (
  id bigint generated always as identity primary key,
  account_id text collate "C" not null,
  origin text collate "C" not null,
  paused_until bigint,
  consecutive_pauses integer not null default 0,
  next_due_at bigint,
  failing_due_at bigint,
  unique (account_id, origin)
) with (fillfactor = 80);
create index hosts_due on hosts (next_due_at) where next_due_at is not null;
create index hosts_failing_due on hosts (failing_due_at) where failing_due_at is not null;

create table endpoints (
  id text collate "C" primary key,
  account_id text collate "C" not null,
  url text collate "C" not null,
  host_id bigint not null references hosts (id),
  format text not null,
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
  consecutive_pauses integer not null default 0,
  pause_reason text,
  next_due_at bigint,
  created_at bigint not null,
  unique (account_id, url)
) with (fillfactor = 80);
create index endpoints_due on endpoints (host_id, failing, next_due_at) where state = 'enabled' and next_due_at is not null;
create index endpoints_disabled on endpoints (id) where state = 'disabled';
create index endpoints_by_host on endpoints (host_id);
create index endpoints_by_age on endpoints (created_at);
create index endpoints_by_account on endpoints (account_id, id);

-- The current secret has no valid_until; the one before it signs until then.
create table endpoint_secrets (
  position bigint generated always as identity primary key,
  endpoint_id text collate "C" not null references endpoints (id) on delete cascade,
  secret_id text collate "C" not null references secrets (id),
  valid_until bigint
);
create index endpoint_secrets_by_endpoint on endpoint_secrets (endpoint_id);
create index endpoint_secrets_by_secret on endpoint_secrets (secret_id);

create table watches (
  id text collate "C" primary key,
  account_id text collate "C" not null,
  call_id text collate "C" not null references calls (id),
  endpoint_id text collate "C" references endpoints (id),
  events text,
  metadata text not null,
  status text not null,
  end_reason text,
  sequence integer not null default 0,
  created_at bigint not null,
  expires_at bigint not null,
  ended_at bigint,
  -- The client wants nothing more of it, whatever its status was.
  deleted_at bigint
) with (fillfactor = 80);
create index watches_active on watches (call_id, id) where status = 'active';
create index watches_by_account on watches (account_id, id);
create index watches_by_status on watches (account_id, status, id);
create index watches_by_call on watches (call_id, account_id, endpoint_id, id);
create index watches_by_endpoint on watches (endpoint_id) where endpoint_id is not null;
create index watches_ended on watches (ended_at) where ended_at is not null;

create table hooks (
  id text collate "C" primary key,
  account_id text collate "C" not null,
  endpoint_id text collate "C" not null references endpoints (id),
  events text,
  created_at bigint not null
);
create index hooks_by_account on hooks (account_id, id);
create index hooks_by_endpoint on hooks (endpoint_id);

-- The last transition of a call that a hook was sent, whichever watch it came through.
create table hook_progress (
  call_id text collate "C" not null references calls (id) on delete cascade,
  hook_id text collate "C" not null references hooks (id) on delete cascade,
  transition integer not null,
  primary key (call_id, hook_id)
);
create index hook_progress_by_hook on hook_progress (hook_id);

-- The feed shows events by (feed_order, position). feed_order is the number of the transaction that wrote the event, so
-- whatever lies below the oldest transaction still running is complete: nothing can appear there any more.
create table events (
  position bigint generated always as identity primary key,
  feed_order bigint not null,
  id text collate "C" not null unique,
  account_id text collate "C" not null,
  watch_id text collate "C" references watches (id) on delete cascade,
  call_sid text collate "C",
  type text not null,
  terminal boolean not null,
  sequence integer,
  timestamp bigint not null,
  data text not null,
  created_at bigint not null,
  unique (watch_id, sequence)
);
create index events_by_account on events (account_id, feed_order, position);
create index events_by_type on events (account_id, type, feed_order, position);
create index events_unwatched on events (created_at) where watch_id is null;

-- Added to the transaction's number: a copy restored into another server goes on where the original was, though that
-- server's transactions are numbered by itself.
create table feed_base (base bigint not null);
insert into feed_base values (0);

create sequence lease_tokens;

create table deliveries (
  id text collate "C" primary key,
  account_id text collate "C" not null,
  event_position bigint not null references events (position) on delete cascade,
  endpoint_id text collate "C" not null,
  watch_id text collate "C",
  -- Its place in the lane (watch, endpoint); null: it belongs to none and waits for nobody.
  sequence integer,
  terminal boolean not null,
  status text not null,
  attempt_count integer not null default 0,
  steps_spent integer not null default 0,
  next_attempt_at bigint,
  -- When it may be claimed; null while it waits for an earlier one of its lane.
  due_at bigint,
  first_attempt_at bigint,
  first_failed_at bigint,
  settled_at bigint,
  -- The instance that has it (a token of `instances`) and the number of the lease (`lease_tokens`): both or neither.
  lease_owner bigint,
  lease_token bigint,
  created_at bigint not null
) with (fillfactor = 80);
create index deliveries_due on deliveries (endpoint_id, due_at, id) where status = 'pending' and lease_token is null and due_at is not null;
create index deliveries_owed on deliveries (endpoint_id, created_at) where status = 'pending';
create index deliveries_leased on deliveries (lease_owner, endpoint_id) where lease_token is not null;
create index deliveries_by_watch on deliveries (watch_id, endpoint_id, sequence);
create index deliveries_by_event on deliveries (event_position);
create index deliveries_by_account on deliveries (account_id, id);
create index deliveries_by_status on deliveries (account_id, status, id);
create index deliveries_by_endpoint on deliveries (endpoint_id, id);

create table attempts (
  delivery_id text collate "C" not null references deliveries (id) on delete cascade,
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

-- What quotas and gauges ask about: counting rows would cost the more the fuller an account is, and a counter that
-- everybody adds to would let one transaction wait for the other. So changes are only ever added, by the triggers below,
-- and folded into the counts now and then. The truth is the sum of both.
create table counts (
  account_id text collate "C" not null,
  what text not null,
  n bigint not null,
  primary key (account_id, what)
);
create table count_changes (
  id bigint generated always as identity primary key,
  account_id text collate "C" not null,
  what text not null,
  n bigint not null
);
create index count_changes_by_account on count_changes (account_id);

create function count_watches() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into count_changes (account_id, what, n) select account_id, 'watches ' || status, count(*) from made group by account_id, status;
  elsif tg_op = 'DELETE' then
    insert into count_changes (account_id, what, n) select account_id, 'watches ' || status, -count(*) from gone group by account_id, status;
  else
    insert into count_changes (account_id, what, n)
      select account_id, 'watches ' || status, sum(n)
      from (select account_id, status, 1 as n from made union all select account_id, status, -1 from gone) changed
      group by account_id, status having sum(n) <> 0;
  end if;
  return null;
end $$;
create trigger watches_made after insert on watches referencing new table as made for each statement execute function count_watches();
create trigger watches_changed after update on watches referencing new table as made old table as gone for each statement execute function count_watches();
create trigger watches_gone after delete on watches referencing old table as gone for each statement execute function count_watches();

-- Of all accounts together: nobody asks for one.
create function count_deliveries() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into count_changes (account_id, what, n) select '', 'deliveries ' || status, count(*) from made group by status;
  elsif tg_op = 'DELETE' then
    insert into count_changes (account_id, what, n) select '', 'deliveries ' || status, -count(*) from gone group by status;
  else
    insert into count_changes (account_id, what, n)
      select '', 'deliveries ' || status, sum(n)
      from (select status, 1 as n from made union all select status, -1 from gone) changed
      group by status having sum(n) <> 0;
  end if;
  return null;
end $$;
create trigger deliveries_made after insert on deliveries referencing new table as made for each statement execute function count_deliveries();
create trigger deliveries_changed after update on deliveries referencing new table as made old table as gone for each statement execute function count_deliveries();
create trigger deliveries_gone after delete on deliveries referencing old table as gone for each statement execute function count_deliveries();

create function count_endpoints() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into count_changes (account_id, what, n) select account_id, 'endpoints', count(*) from made group by account_id;
  else
    insert into count_changes (account_id, what, n) select account_id, 'endpoints', -count(*) from gone group by account_id;
  end if;
  return null;
end $$;
create trigger endpoints_made after insert on endpoints referencing new table as made for each statement execute function count_endpoints();
create trigger endpoints_gone after delete on endpoints referencing old table as gone for each statement execute function count_endpoints();

create table accounts (
  id text primary key,
  name text not null unique,
  uses_default_source integer not null,
  sealed_signing_key blob not null,
  public_key text not null,
  default_secret_id text references secrets (id),
  created_at integer not null
) strict;
create index accounts_by_default_secret on accounts (default_secret_id) where default_secret_id is not null;

-- What quotas and gauges ask about, kept by the triggers at the end: counting rows would cost the more the fuller an account is.
create table account_usage (
  account_id text primary key references accounts (id) on delete cascade,
  endpoints integer not null default 0,
  active integer not null default 0,
  completed integer not null default 0,
  ended integer not null default 0,
  canceled integer not null default 0
) strict, without rowid;

create table api_keys (
  id text primary key,
  account_id text not null references accounts (id),
  name text not null,
  fingerprint text not null unique,
  created_at integer not null,
  revoked_at integer
) strict;

-- A secret is a row of its own, so that an account's default may serve many endpoints.
create table secrets (
  id text primary key,
  account_id text not null references accounts (id),
  sealed blob not null,
  fingerprint text not null,
  created_at integer not null
) strict;

create table calls (
  id text primary key,
  source_name text not null,
  scope text not null,
  call_sid text not null,
  status text,
  reason text not null default '',
  terminal integer not null default 0,
  observed_at integer,
  last_good_poll_at integer,
  -- Grows with every committed change; what a writer expects to find.
  version integer not null default 1,
  -- Counts what hooks are told once.
  transitions integer not null default 0,
  created_at integer not null,
  unique (call_sid, source_name, scope)
) strict;

-- One row for all of an account's endpoints on one scheme, host and port: they pause together. Endpoints with failures
-- behind them have a bound of their own, so that a claim without room for them passes them all in one step.
-- Both are lower bounds; what holds of them is written in tables/due.ts.
create table hosts (
  id integer primary key,
  account_id text not null references accounts (id),
  origin text not null,
  paused_until integer,
  consecutive_pauses integer not null default 0,
  next_due_at integer,
  failing_due_at integer,
  unique (account_id, origin)
) strict;
create index hosts_due on hosts (next_due_at) where next_due_at is not null;
create index hosts_failing_due on hosts (failing_due_at) where failing_due_at is not null;

create table endpoints (
  id text primary key,
  account_id text not null references accounts (id),
  url text not null,
  host_id integer not null references hosts (id),
  format text not null,
  header_names text not null,
  sealed_headers blob,
  headers_fingerprint text,
  signatures text not null,
  late text not null,
  max_in_flight integer,
  max_per_second real,
  state text not null,
  reason text,
  since integer,
  consecutive_failures integer not null default 0,
  failing integer not null generated always as (consecutive_failures > 0) virtual,
  failing_since integer,
  last_success_at integer,
  paused_until integer,
  consecutive_pauses integer not null default 0,
  pause_reason text,
  next_due_at integer,
  created_at integer not null,
  unique (account_id, url)
) strict;
create index endpoints_due on endpoints (host_id, failing, next_due_at) where state = 'enabled' and next_due_at is not null;
create index endpoints_by_host on endpoints (host_id);
create index endpoints_by_age on endpoints (created_at);
create index endpoints_by_account on endpoints (account_id, id);

-- The current secret has no valid_until; the one before it signs until then.
create table endpoint_secrets (
  position integer primary key,
  endpoint_id text not null references endpoints (id) on delete cascade,
  secret_id text not null references secrets (id),
  valid_until integer
) strict;
create index endpoint_secrets_by_endpoint on endpoint_secrets (endpoint_id);
create index endpoint_secrets_by_secret on endpoint_secrets (secret_id);

create table watches (
  id text primary key,
  account_id text not null references accounts (id),
  call_id text not null references calls (id),
  endpoint_id text references endpoints (id),
  events text,
  metadata text not null,
  status text not null,
  end_reason text,
  sequence integer not null default 0,
  created_at integer not null,
  expires_at integer not null,
  ended_at integer,
  -- The client wants nothing more of it, whatever its status was.
  deleted_at integer
) strict;
create index watches_active on watches (call_id, id) where status = 'active';
create index watches_by_account on watches (account_id, id);
create index watches_by_status on watches (account_id, status, id);
create index watches_by_call on watches (call_id, account_id, endpoint_id, id);
create index watches_by_endpoint on watches (endpoint_id) where endpoint_id is not null;
create index watches_ended on watches (ended_at) where ended_at is not null;

create table hooks (
  id text primary key,
  account_id text not null references accounts (id),
  endpoint_id text not null references endpoints (id),
  events text,
  created_at integer not null
) strict;
create index hooks_by_account on hooks (account_id, id);
create index hooks_by_endpoint on hooks (endpoint_id);

-- The last transition of a call that a hook was sent, whichever watch it came through.
create table hook_progress (
  call_id text not null references calls (id) on delete cascade,
  hook_id text not null references hooks (id) on delete cascade,
  transition integer not null,
  primary key (call_id, hook_id)
) strict, without rowid;
create index hook_progress_by_hook on hook_progress (hook_id);

-- position is the order of commits: there is one writer, and autoincrement never gives a number twice.
create table events (
  position integer primary key autoincrement,
  id text not null unique,
  account_id text not null references accounts (id),
  watch_id text references watches (id) on delete cascade,
  call_sid text,
  type text not null,
  terminal integer not null,
  sequence integer,
  timestamp integer not null,
  data text not null,
  created_at integer not null,
  unique (watch_id, sequence)
) strict;
create index events_by_account on events (account_id, position);
create index events_by_type on events (account_id, type, position);
create index events_unwatched on events (created_at) where watch_id is null;

create table deliveries (
  id text primary key,
  account_id text not null references accounts (id),
  event_position integer not null references events (position) on delete cascade,
  endpoint_id text not null references endpoints (id),
  watch_id text,
  -- Its place in the lane (watch, endpoint); null: it belongs to none and waits for nobody.
  sequence integer,
  terminal integer not null,
  status text not null,
  attempt_count integer not null default 0,
  steps_spent integer not null default 0,
  next_attempt_at integer,
  -- When it may be claimed; null while it waits for an earlier one of its lane.
  due_at integer,
  first_attempt_at integer,
  first_failed_at integer,
  settled_at integer,
  lease_token integer,
  created_at integer not null
) strict;
-- What may be claimed (lease_token is null, by due_at) and, by its first column, what is owed.
create index deliveries_due on deliveries (endpoint_id, lease_token, due_at) where status = 'pending';
create index deliveries_by_watch on deliveries (watch_id, endpoint_id, sequence);
create index deliveries_old on deliveries (created_at) where status = 'pending';
create index deliveries_leased on deliveries (endpoint_id) where lease_token is not null;
create index deliveries_by_event on deliveries (event_position);
create index deliveries_by_account on deliveries (account_id, id);
create index deliveries_by_status on deliveries (account_id, status, id);
create index deliveries_by_endpoint on deliveries (endpoint_id, id);

create table attempts (
  delivery_id text not null references deliveries (id) on delete cascade,
  number integer not null,
  started_at integer not null,
  duration_ms integer not null,
  status_code integer,
  error_code text,
  error_detail text,
  response_excerpt text,
  decision text not null,
  primary key (delivery_id, number)
) strict, without rowid;

-- Deliveries by status: metrics are scraped while the writer has better to do than count.
create table delivery_counts (
  status text primary key,
  n integer not null default 0
) strict, without rowid;
insert into delivery_counts (status) values
  ('pending'), ('delivered'), ('exhausted'), ('failed'), ('canceled'), ('superseded'), ('expired');

create trigger account_made after insert on accounts begin
  insert into account_usage (account_id) values (new.id);
end;
create trigger endpoint_made after insert on endpoints begin
  update account_usage set endpoints = endpoints + 1 where account_id = new.account_id;
end;
create trigger endpoint_deleted after delete on endpoints begin
  update account_usage set endpoints = endpoints - 1 where account_id = old.account_id;
end;
create trigger watch_made after insert on watches begin
  update account_usage set
    active = active + (new.status = 'active'), completed = completed + (new.status = 'completed'),
    ended = ended + (new.status = 'ended'), canceled = canceled + (new.status = 'canceled')
  where account_id = new.account_id;
end;
create trigger watch_changed after update of status on watches when old.status <> new.status begin
  update account_usage set
    active = active + (new.status = 'active') - (old.status = 'active'),
    completed = completed + (new.status = 'completed') - (old.status = 'completed'),
    ended = ended + (new.status = 'ended') - (old.status = 'ended'),
    canceled = canceled + (new.status = 'canceled') - (old.status = 'canceled')
  where account_id = new.account_id;
end;
create trigger watch_deleted after delete on watches begin
  update account_usage set
    active = active - (old.status = 'active'), completed = completed - (old.status = 'completed'),
    ended = ended - (old.status = 'ended'), canceled = canceled - (old.status = 'canceled')
  where account_id = old.account_id;
end;
create trigger delivery_made after insert on deliveries begin
  update delivery_counts set n = n + 1 where status = new.status;
end;
create trigger delivery_changed after update of status on deliveries when old.status <> new.status begin
  update delivery_counts set n = n + iif(status = new.status, 1, -1) where status in (old.status, new.status);
end;
create trigger delivery_deleted after delete on deliveries begin
  update delivery_counts set n = n - 1 where status = old.status;
end;

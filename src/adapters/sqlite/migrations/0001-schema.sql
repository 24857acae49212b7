-- Times are epoch milliseconds. Ids are integers that sort by time; domain/ids.ts writes their public texts. Every index
-- names the query that needs it.

create table accounts (
  id integer primary key,
  name text not null unique,
  uses_default_source integer not null,
  sealed_signing_key blob not null,
  public_key text not null,
  default_secret_id integer references secrets (id),
  disabled_at integer,
  may_place integer not null default 0,
  -- JSON list of the prefixes that numbers must have; null: any number.
  place_to text,
  place_per_minute integer,
  place_per_day integer,
  last_request_at integer,
  created_at integer not null
) strict;
-- Deletion of a secret asks whether it is a default.
create index accounts_by_default_secret on accounts (default_secret_id) where default_secret_id is not null;

-- Usage for quotas and gauges: counting rows would cost the more the fuller an account is.
create table account_usage (
  account_id integer primary key references accounts (id) on delete cascade,
  endpoints integer not null default 0,
  active integer not null default 0,
  completed integer not null default 0,
  ended integer not null default 0,
  canceled integer not null default 0
) strict;

create table api_keys (
  id integer primary key,
  -- null: an operator's key.
  account_id integer references accounts (id),
  name text not null,
  fingerprint text not null unique,
  -- JSON list; null: all scopes.
  scopes text,
  expires_at integer,
  -- To the minute.
  last_used_at integer,
  created_at integer not null,
  revoked_at integer
) strict;
-- Keys of an account.
create index api_keys_by_account on api_keys (account_id, id);
-- Keys that expire soon.
create index api_keys_by_expiry on api_keys (expires_at) where expires_at is not null and revoked_at is null;

-- A secret is a row of its own, so that an account's default may serve many endpoints.
create table secrets (
  id integer primary key,
  account_id integer not null references accounts (id),
  sealed blob not null,
  fingerprint text not null,
  created_at integer not null
) strict;

create table calls (
  id integer primary key,
  source_name text not null,
  -- The account that the call belongs to, if its source serves each account apart; 0 if accounts share it.
  scope integer not null,
  call_sid text not null,
  status text,
  reason text not null default '',
  -- JSON object of the details that the source reads; null: none.
  details text,
  terminal integer not null default 0,
  observed_at integer,
  last_good_poll_at integer,
  -- Grows with every committed change. A writer names the version that it expects.
  version integer not null default 1,
  -- Number of the last transition, which hooks are notified of once.
  transitions integer not null default 0,
  created_at integer not null,
  unique (call_sid, source_name, scope)
) strict;

-- One row for all endpoints of an account on one scheme, host and port: they pause together. Failing endpoints have a
-- bound of their own, so that a claim without capacity for them passes all of them in one step. Both are lower bounds:
-- deliveries/due-bounds.ts says what holds of them.
create table hosts (
  id integer primary key,
  account_id integer not null references accounts (id),
  origin text not null,
  paused_until integer,
  -- When the pause that ends at paused_until began.
  paused_since integer,
  consecutive_pauses integer not null default 0,
  -- Newest 429s: by the last endpoint that sent one, and by any other.
  rate_limited_endpoint_id integer,
  rate_limited_at integer,
  other_rate_limited_at integer,
  next_due_at integer,
  failing_due_at integer,
  unique (account_id, origin)
) strict;
-- Claims.
create index hosts_due on hosts (next_due_at) where next_due_at is not null;
create index hosts_failing_due on hosts (failing_due_at) where failing_due_at is not null;

create table endpoints (
  id integer primary key,
  account_id integer not null references accounts (id),
  url text not null,
  host_id integer not null references hosts (id),
  format text not null,
  -- JSON of the request template; null unless the format is `template`.
  request text,
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
  -- When the pause that ends at paused_until began.
  paused_since integer,
  consecutive_pauses integer not null default 0,
  pause_reason text,
  next_due_at integer,
  -- Number of its pending deliveries without a lease. A delivery that is inserted with a lease and settled by its first
  -- attempt does not change it.
  unleased integer not null default 0,
  created_at integer not null,
  unique (account_id, url)
) strict;
-- Claims.
create index endpoints_due on endpoints (host_id, failing, next_due_at) where state = 'enabled' and next_due_at is not null;
-- Bounds of a host; deletion of an unused host.
create index endpoints_by_host on endpoints (host_id);
-- Endpoints of an account.
create index endpoints_by_account on endpoints (account_id, id);

-- Attempts per endpoint and hour, for its success rate.
create table endpoint_hours (
  endpoint_id integer not null references endpoints (id) on delete cascade,
  hour integer not null,
  succeeded integer not null default 0,
  failed integer not null default 0,
  primary key (endpoint_id, hour)
) strict, without rowid;

-- The current secret has no valid_until; the previous one signs until its own.
create table endpoint_secrets (
  position integer primary key,
  endpoint_id integer not null references endpoints (id) on delete cascade,
  secret_id integer not null references secrets (id),
  valid_until integer
) strict;
-- Secrets of a target.
create index endpoint_secrets_by_endpoint on endpoint_secrets (endpoint_id);
-- Deletion of a secret asks whether an endpoint signs with it.
create index endpoint_secrets_by_secret on endpoint_secrets (secret_id);

create table watches (
  id integer primary key,
  account_id integer not null references accounts (id),
  call_id integer not null references calls (id),
  endpoint_id integer references endpoints (id),
  events text,
  metadata text not null,
  -- The registration's `traceparent`.
  trace text,
  status text not null,
  end_reason text,
  sequence integer not null default 0,
  created_at integer not null,
  expires_at integer not null,
  ended_at integer,
  -- When the client deleted it; its status may be older.
  deleted_at integer
) strict;
-- Watches of a transition.
create index watches_active on watches (call_id, id) where status = 'active';
-- watches?status=, and without a filter one range for each status.
create index watches_by_status on watches (account_id, status, id);
-- watches?call_sid=, repeated registrations, calls of an account.
create index watches_by_call on watches (call_id, account_id, endpoint_id, id);
-- Endings by a 410; deletion of an endpoint.
create index watches_by_endpoint on watches (endpoint_id) where endpoint_id is not null;
-- Retention.
create index watches_ended on watches (ended_at) where ended_at is not null;

-- One row for each pair of a watch's metadata: watches?metadata.<key>=. The hash is of key and value; the watch has both.
create table watch_metadata (
  account_id integer not null,
  hash integer not null,
  watch_id integer not null references watches (id) on delete cascade,
  primary key (account_id, hash, watch_id)
) strict, without rowid;
-- Deletion of a watch.
create index watch_metadata_by_watch on watch_metadata (watch_id);

create table hooks (
  id integer primary key,
  account_id integer not null references accounts (id),
  endpoint_id integer not null references endpoints (id),
  events text,
  -- JSON list of the terms of `where`; null: none.
  terms text,
  -- Set while the endpoint is disabled after a 410.
  disabled_at integer,
  created_at integer not null
) strict;
-- Hooks of an account, for lists and transitions.
create index hooks_by_account on hooks (account_id, id);
-- Hooks of an endpoint.
create index hooks_by_endpoint on hooks (endpoint_id);

-- The last transition of a call that a hook was sent, by whichever watch.
create table hook_progress (
  call_id integer not null references calls (id) on delete cascade,
  hook_id integer not null references hooks (id) on delete cascade,
  transition integer not null,
  primary key (call_id, hook_id)
) strict, without rowid;
-- Deletion of a hook.
create index hook_progress_by_hook on hook_progress (hook_id);

-- Periods of the feed. A cursor names one and a position; it is valid if the position is below the next period's first.
create table feed_epochs (
  first_position integer primary key,
  epoch blob not null unique,
  created_at integer not null
) strict;

-- position is the order of commits: there is one writer, and autoincrement never uses a number twice.
create table events (
  position integer primary key autoincrement,
  id text not null unique,
  account_id integer not null references accounts (id),
  watch_id integer references watches (id) on delete cascade,
  call_sid text,
  type text not null,
  terminal integer not null,
  sequence integer,
  timestamp integer not null,
  data text not null,
  created_at integer not null,
  unique (watch_id, sequence)
) strict;
-- The feed.
create index events_by_account on events (account_id, position);
-- events?type=, events?type=terminal, hooks/sample.
create index events_by_type on events (account_id, type, terminal, position);
-- Retention of events about no watch.
create index events_unwatched on events (created_at) where watch_id is null;

create table deliveries (
  id integer primary key,
  account_id integer not null references accounts (id),
  event_position integer not null references events (position) on delete cascade,
  endpoint_id integer not null references endpoints (id),
  watch_id integer,
  -- Its place in the lane (watch, endpoint); null: it is in no lane and waits for no other.
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
  -- The first attempt of a delivery that it delivered without further effects, in place of a row of attempts. It began at
  -- first_attempt_at. null: its attempts have rows.
  attempt_duration_ms integer,
  attempt_status_code integer,
  attempt_response_excerpt text,
  lease_token integer,
  created_at integer not null
) strict;
-- Claims. A delivery that is inserted with a lease and settled by its first attempt is never in it.
create index deliveries_due on deliveries (endpoint_id, due_at) where status = 'pending' and lease_token is null and due_at is not null;
-- Lanes.
create index deliveries_in_lane on deliveries (watch_id, endpoint_id, sequence) where status = 'pending' and watch_id is not null;
-- Deliveries of an endpoint in flight.
create index deliveries_leased on deliveries (endpoint_id) where lease_token is not null;
-- Deliveries of an event; events of a watch lead to deliveries?watch_id=.
create index deliveries_by_event on deliveries (event_position);
-- deliveries?status=, and without a filter one range for each status; expiry of what is pending.
create index deliveries_by_status on deliveries (account_id, status, id);
-- deliveries?endpoint_id=&status= alike.
create index deliveries_by_endpoint on deliveries (endpoint_id, status, id);
-- Manual retries of settled deliveries, from their acceptance to the record of their attempt.
create index deliveries_retried on deliveries (next_attempt_at) where status <> 'pending' and next_attempt_at is not null and lease_token is null;

create table attempts (
  delivery_id integer not null references deliveries (id) on delete cascade,
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

-- Deliveries by status, for metrics: a scrape counts no rows.
create table delivery_counts (
  status text primary key,
  n integer not null default 0
) strict, without rowid;
insert into delivery_counts (status) values
  ('pending'), ('delivered'), ('exhausted'), ('failed'), ('canceled'), ('superseded'), ('expired');

-- Sources that the operator set by the command line. The environment's source and the sandbox have no rows.
create table sources (
  id integer primary key,
  name text not null unique,
  -- null: every account may use it.
  account_id integer references accounts (id),
  kind text not null,
  base_url text not null,
  sealed_credential blob not null,
  agent_id text,
  environment text,
  -- JSON of a `json` source, and of the status map; null: none.
  definition text,
  status_map text,
  max_polls_per_second real not null,
  -- Grows with every change.
  revision integer not null default 1,
  removed_at integer,
  created_at integer not null,
  updated_at integer not null
) strict;

-- Keys of hashes that cannot be recomputed, because only their owners know the hashed values.
create table hash_keys (
  name text primary key,
  sealed blob not null
) strict;

-- The encryption keys that the last server was started with.
create table server_keys (
  id text primary key
) strict, without rowid;

-- Answers to requests with an Idempotency-Key, until the key expires. The id is a hash of account, method, path and key;
-- `sealed` holds request and answer.
create table stored_answers (
  id text primary key,
  account_id integer not null references accounts (id),
  sealed blob not null,
  -- For a test whose attempt is not recorded yet: the delivery that will be the answer.
  delivery_id integer references deliveries (id) on delete cascade,
  expires_at integer not null
) strict;
create index stored_answers_by_account on stored_answers (account_id, expires_at);
create index stored_answers_by_delivery on stored_answers (delivery_id) where delivery_id is not null;
-- Retention.
create index stored_answers_by_expiry on stored_answers (expires_at);

-- Calls asked for by POST /v1/calls. The key's hash is unique while its placing counts.
create table placings (
  id integer primary key,
  account_id integer not null references accounts (id),
  source_name text not null,
  idempotency_key text not null,
  key_hash text,
  call_hash text not null,
  state text not null,
  call_sid text,
  watch_id integer,
  metadata text not null,
  sealed_answer blob,
  created_at integer not null,
  unique (account_id, key_hash)
) strict;
-- placings?state=.
create index placings_by_state on placings (account_id, state, id);
-- Placings whose outcome is not known yet.
create index placings_sending on placings (id) where state = 'sending';

create table portal_links (
  id integer primary key,
  account_id integer not null references accounts (id),
  key_id integer not null references api_keys (id),
  can text not null,
  token_hash text not null unique,
  session_hash text unique,
  frame_ancestors text,
  created_at integer not null,
  expires_at integer not null,
  used_at integer,
  revoked_at integer
) strict;
-- Links of an account.
create index portal_links_by_account on portal_links (account_id, id);
-- Links that end with their key.
create index portal_links_by_key on portal_links (key_id);

-- What keys, portals, the command line and the operator changed.
create table audit (
  id integer primary key,
  account_id integer references accounts (id),
  at integer not null,
  action text not null,
  target_kind text not null,
  target_id text not null,
  actor_kind text not null,
  actor_id text,
  actor_name text,
  address text,
  forwarded_for text,
  detail text not null
) strict;
-- GET /v1/audit, with and without action.
create index audit_by_account on audit (account_id, id);
create index audit_by_action on audit (account_id, action, id);

-- Work on many rows: one row changed at once, the rest in portions, in the order of ids.
create table marks (
  id integer primary key,
  kind text not null,
  account_id integer not null,
  target_id integer not null,
  -- The mark holds for rows up to this id or position.
  last_id integer not null,
  -- Everything up to this id or position is done.
  done_id integer not null default 0,
  detail text not null,
  created_at integer not null
) strict;
-- The marks above a row.
create index marks_by_target on marks (kind, target_id);

-- The newest key that a command line reserved: all command lines share one slot of ids.
create table command_line_keys (
  newest integer not null
) strict;
insert into command_line_keys values (-1);

-- A sealed value begins with the id of its key: the ids in use are read in as many steps as there are keys.
create index accounts_by_key on accounts (substr(sealed_signing_key, 1, 8), id);
create index secrets_by_key on secrets (substr(sealed, 1, 8), id);
create index endpoints_by_key on endpoints (substr(sealed_headers, 1, 8), id) where sealed_headers is not null;
create index sources_by_key on sources (substr(sealed_credential, 1, 8), id);
create index hash_keys_by_key on hash_keys (substr(sealed, 1, 8), name);
create index stored_answers_by_key on stored_answers (substr(sealed, 1, 8), id);

create trigger account_created after insert on accounts begin
  insert into account_usage (account_id) values (new.id);
end;
-- Programs count what they insert and change. Deletions are counted here, because foreign keys delete rows as well.
create trigger endpoint_deleted after delete on endpoints begin
  update account_usage set endpoints = endpoints - 1 where account_id = old.account_id;
end;
create trigger watch_deleted after delete on watches begin
  update account_usage set
    active = active - (old.status = 'active'), completed = completed - (old.status = 'completed'),
    ended = ended - (old.status = 'ended'), canceled = canceled - (old.status = 'canceled')
  where account_id = old.account_id;
end;
create trigger delivery_deleted after delete on deliveries begin
  update delivery_counts set n = n - 1 where status = old.status;
end;
create trigger unleased_deleted after delete on deliveries when old.status = 'pending' and old.lease_token is null begin
  update endpoints set unleased = unleased - 1 where id = old.endpoint_id;
end;

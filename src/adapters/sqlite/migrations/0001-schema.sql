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
  -- Number of times that it was disabled: what began before the last of them has ended.
  disablings integer not null default 0,
  -- When its removal began: its rows are erased, and its keys are unknown.
  removed_at integer,
  may_place integer not null default 0,
  -- JSON list of the prefixes that numbers must have; null: any number.
  place_to text,
  place_per_minute integer,
  place_per_day integer,
  -- To the minute, and so are the polls: those of the newest minute in which its calls were polled.
  last_request_at integer,
  polls_minute integer,
  polls integer not null default 0,
  created_at integer not null
) strict;
-- Deletion of a secret asks whether it is a default.
create index accounts_by_default_secret on accounts (default_secret_id) where default_secret_id is not null;
-- Disabled accounts, whose calls and hosts every reader passes over.
create index accounts_disabled on accounts (id) where disabled_at is not null;

-- Usage for quotas and gauges: counting rows would cost the more the fuller an account is.
create table account_usage (
  account_id integer primary key references accounts (id) on delete cascade,
  endpoints integer not null default 0,
  active integer not null default 0,
  completed integer not null default 0,
  ended integer not null default 0,
  canceled integer not null default 0,
  -- Bytes of its stored answers, counted by the triggers.
  stored_bytes integer not null default 0
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
  -- When key.expiring was published.
  announced_at integer,
  -- To the minute.
  last_used_at integer,
  created_at integer not null,
  revoked_at integer
) strict;
-- Keys of an account.
create index api_keys_by_account on api_keys (account_id, id);
-- Keys that expire soon and of which no event was published.
create index api_keys_by_expiry on api_keys (expires_at) where expires_at is not null and account_id is not null and revoked_at is null and announced_at is null;

-- A secret is a row of its own, so that an account's default may serve many endpoints.
create table secrets (
  id integer primary key,
  account_id integer not null references accounts (id),
  sealed blob not null,
  fingerprint text not null,
  created_at integer not null
) strict;
-- Removal of an account.
create index secrets_by_account on secrets (account_id, id);

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
  -- The oldest watch whose first event waits for the next good poll, although the status was known when it was registered
  -- (it was not current); null: none.
  unnotified_from integer,
  -- JSON of the last commit while it is not written for all watches of the call (domain/calls/call-mark.ts). No other
  -- commit is accepted before it is done.
  mark text,
  created_at integer not null,
  unique (call_sid, source_name, scope)
) strict;
-- Calls with a running mark: lists and quotas read their watches through it.
create index calls_marked on calls (id) where mark is not null;

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
-- Hosts of an account that is enabled again, or removed.
create index hosts_by_account on hosts (account_id, id);

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
  -- How often a 2xx followed a failure, and when it last did.
  recoveries integer not null default 0,
  recovered_at integer,
  -- Whether `endpoint.failing` was published, and `endpoint.recovered` not yet.
  reported_failing integer not null default 0,
  next_due_at integer,
  -- Number of its pending deliveries without a lease. A delivery that is inserted with a lease and settled by its first
  -- attempt does not change it.
  unleased integer not null default 0,
  -- Number of running marks during which none of its deliveries may be claimed.
  held integer not null default 0,
  -- Number of 410s after which its watches ended.
  retirements integer not null default 0,
  created_at integer not null,
  unique (account_id, url)
) strict;
-- Claims.
create index endpoints_due on endpoints (host_id, failing, next_due_at) where state = 'enabled' and held = 0 and next_due_at is not null;
-- Bounds of a host; deletion of an unused host.
create index endpoints_by_host on endpoints (host_id);
-- Endpoints of an account.
create index endpoints_by_account on endpoints (account_id, id);
-- The gauge of endpoints.
create index endpoints_not_enabled on endpoints (state) where state <> 'enabled';

-- Attempts of endpoints, for their success rates: by minute for 2 h, by hour for 8 days, by day for the retention
-- (domain/deliveries/success-rate.ts). Groups of attempts add their sums.
create table endpoint_attempts (
  endpoint_id integer not null references endpoints (id) on delete cascade,
  at integer not null,
  span integer not null,
  succeeded integer not null,
  failed integer not null,
  primary key (endpoint_id, at, span)
) strict, without rowid;
-- Counts that are old enough for a longer span.
create index endpoint_attempts_by_age on endpoint_attempts (span, at);

-- What happened in an account, for pictures over time: spans as of the attempts above, kinds of domain/activity.ts.
create table account_activity (
  account_id integer not null references accounts (id) on delete cascade,
  at integer not null,
  span integer not null,
  kind integer not null,
  n integer not null,
  primary key (account_id, at, span, kind)
) strict, without rowid;
-- Counts that are old enough for a longer span.
create index account_activity_by_age on account_activity (span, at);

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
  -- Version of the call whose mark was running when the watch was registered: the mark does not hold for the watch.
  spared_by integer,
  -- When the client deleted it; its status may be older.
  deleted_at integer,
  -- When `call.overdue` was published.
  overdue_at integer,
  -- That of its endpoint when it was registered.
  retirements integer not null default 0
) strict;
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
  -- JSON of the filter (domain/events/event-filter.ts); null: every event about a call or watch.
  events text,
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

-- Periods of the feed, in the order of their ids. A cursor names one and a position; it is valid if the position is before
-- the next period's first.
create table feed_epochs (
  id integer primary key autoincrement,
  epoch blob not null unique,
  first_position integer not null,
  created_at integer not null
) strict;

-- Where the feed of an account begins: behind the newest event that retention deleted.
create table feed_starts (
  account_id integer primary key references accounts (id) on delete cascade,
  position integer not null
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
-- events?call_sid=, for operational events, which have no sequence.
create index events_operational_by_call on events (account_id, call_sid) where sequence is null and call_sid is not null;

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
  -- Regular time of the next attempt, after one that was brought forward was deferred.
  scheduled_at integer,
  -- The endpoint's recoveries when the last step was spent; null: no recovery brings it forward.
  last_recovery integer,
  -- The same, as far as no earlier one of its lane goes first. It may be claimed if the endpoint has more recoveries.
  early_after integer,
  first_attempt_at integer,
  first_failed_at integer,
  settled_at integer,
  -- The first attempt of a delivery that it delivered without further effects, in place of a row of attempts. It began at
  -- first_attempt_at. null: its attempts have rows.
  attempt_duration_ms integer,
  attempt_status_code integer,
  attempt_response_excerpt text,
  lease_token integer,
  -- When a manual retry was accepted; null once any attempt is recorded after it.
  retry_accepted_at integer,
  created_at integer not null
) strict;
-- Claims. A delivery that is inserted with a lease and settled by its first attempt is never in it.
create index deliveries_due on deliveries (endpoint_id, due_at) where status = 'pending' and lease_token is null and due_at is not null;
-- Claims of what a recovery brings forward. Only a failed delivery is in it.
create index deliveries_early on deliveries (endpoint_id, early_after) where status = 'pending' and lease_token is null and early_after is not null;
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
-- Manual retries, from their acceptance to the record of their attempt, that no process has leased.
create index deliveries_retried on deliveries (retry_accepted_at) where retry_accepted_at is not null and lease_token is null;

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
-- Retention of removed sources.
create index sources_removed on sources (removed_at) where removed_at is not null;

-- Times that calls of a source spend in a status, as all instances observed them (domain/freshness/age-histogram.ts).
create table status_ages (
  source_name text not null,
  status text not null,
  -- Number of changes that were ever observed.
  changes integer not null,
  ages blob not null,
  primary key (source_name, status)
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
-- `sealed` holds the answer.
create table stored_answers (
  id text primary key,
  account_id integer not null references accounts (id),
  -- Keyed hash of the request's body, by which another request is refused without opening the answer.
  request_hash text not null,
  sealed blob not null,
  -- For a test whose attempt is not recorded yet: the delivery that will be the answer.
  delivery_id integer references deliveries (id) on delete cascade,
  -- Whether it takes none of the room that the account has for stored answers: the answer of a placing.
  own_room integer not null default 0,
  expires_at integer not null
) strict;
create index stored_answers_by_account on stored_answers (account_id, expires_at);
create index stored_answers_by_delivery on stored_answers (delivery_id) where delivery_id is not null;
-- Retention.
create index stored_answers_by_expiry on stored_answers (expires_at);
-- The watches that an answer shows. A purge of one deletes the answer. No foreign key to the watch, which may go first.
create table stored_answer_watches (
  watch_id integer not null,
  answer_id text not null references stored_answers (id) on delete cascade,
  primary key (watch_id, answer_id)
) strict, without rowid;
create index stored_answer_watches_by_answer on stored_answer_watches (answer_id);

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
  -- The watch that was asked for, until the placing is settled: a SID that a person finds makes it.
  sealed_request blob,
  -- When another process may take the sender for ended; null: the placing does not wait for one.
  lease_until integer,
  created_at integer not null,
  unique (account_id, key_hash)
) strict;
-- placings?state=.
create index placings_by_state on placings (account_id, state, id);
-- placings, and how many an account made of late.
create index placings_by_account on placings (account_id, id);
-- Placings whose outcome is not known yet.
create index placings_sending on placings (lease_until) where state = 'sending';
-- Purge of a watch.
create index placings_by_watch on placings (watch_id) where watch_id is not null;

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
-- Retention.
create index portal_links_ended on portal_links (coalesce(revoked_at, expires_at));

-- Sessions that a user signed out of, until they would have expired. A sealed cookie cannot be changed where it was copied to.
create table ended_sessions (
  hash text primary key,
  key_id integer not null,
  expires_at integer not null
) strict;
-- The newest of a key.
create index ended_sessions_by_key on ended_sessions (key_id, expires_at);
-- Retention.
create index ended_sessions_expired on ended_sessions (expires_at);

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
-- An action of all accounts, for the operator.
create index audit_of_all_by_action on audit (action, id);
-- The row whose id is the most seconds ahead of its time, which bounds the ids until a time: an id has 2^23 keys a second from 2020 on.
create index audit_by_ahead on audit ((id / 8388608 - (at - 1577836800000) / 1000));
-- Retention.
create index audit_by_time on audit (at);

-- Rows of audit by account, so that retention finds accounts with too many of them.
create table audit_counts (
  account_id integer primary key references accounts (id) on delete cascade,
  n integer not null
) strict;
-- Retention.
create index audit_counts_full on audit_counts (n) where n > 100000;

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
  -- Number of rows that it settles and that the counters still count as they were.
  remaining integer not null default 0,
  -- JSON, by kind: domain/deliveries/marks.ts.
  detail text not null,
  created_at integer not null
) strict;
-- The marks of an account, in the order in which they are carried out.
create index marks_by_account on marks (account_id, id);
-- The marks above a row.
create index marks_by_target on marks (target_id, id);

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
create index placings_by_key on placings (substr(sealed_request, 1, 8), id) where sealed_request is not null;

create trigger account_created after insert on accounts begin
  insert into account_usage (account_id) values (new.id);
end;
-- Programs count what they insert and change. Deletions are counted here, because foreign keys delete rows as well.
create trigger endpoint_deleted after delete on endpoints begin
  update account_usage set endpoints = endpoints - 1 where account_id = old.account_id;
end;
-- Stored answers are also counted here when they are inserted or changed.
create trigger stored_answer_made after insert on stored_answers when new.own_room = 0 begin
  update account_usage set stored_bytes = stored_bytes + length(new.sealed) where account_id = new.account_id;
end;
create trigger stored_answer_changed after update of sealed on stored_answers when new.own_room = 0 begin
  update account_usage set stored_bytes = stored_bytes + length(new.sealed) - length(old.sealed) where account_id = new.account_id;
end;
create trigger stored_answer_deleted after delete on stored_answers when old.own_room = 0 begin
  update account_usage set stored_bytes = stored_bytes - length(old.sealed) where account_id = old.account_id;
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

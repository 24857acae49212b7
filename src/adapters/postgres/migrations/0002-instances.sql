-- Suspension, circuit and throttle of each source, as whoever saw them first wrote them. The versions come from one
-- sequence, so that a row that was deleted and made again is newer than whatever anybody remembers of it.
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

-- What was committed since, over all accounts: for those who wait for an event.
create index events_by_feed on events (feed_order, position);

-- Newest 429s of a host: by the last endpoint that sent one, and by any other.
alter table hosts add column rate_limited_endpoint_id text collate "C", add column rate_limited_at bigint, add column other_rate_limited_at bigint;
-- Set while the endpoint of a hook is disabled after a 410.
alter table hooks add column disabled_at bigint;

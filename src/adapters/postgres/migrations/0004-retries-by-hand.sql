-- A retry by hand of a settled delivery is owed from its acceptance to the record of its attempt: next_attempt_at says so.
update deliveries set next_attempt_at = null where status <> 'pending' and next_attempt_at is not null;
create index deliveries_by_hand on deliveries (next_attempt_at) where status <> 'pending' and next_attempt_at is not null and lease_token is null;

-- When the pause that ends at paused_until began.
alter table endpoints add column paused_since integer;
alter table hosts add column paused_since integer;

-- What requests with an Idempotency-Key were answered, for as long as the key counts. The id is a hash of account,
-- method, path and key; what was sent and answered is inside `sealed`.
create table stored_answers (
  id text primary key,
  account_id text not null references accounts (id),
  sealed blob not null,
  -- Of a test whose attempt is not recorded yet: the delivery that will be the answer.
  delivery_id text references deliveries (id) on delete cascade,
  expires_at integer not null
) strict;
create index stored_answers_by_account on stored_answers (account_id);
create index stored_answers_by_delivery on stored_answers (delivery_id) where delivery_id is not null;
create index stored_answers_by_expiry on stored_answers (expires_at);
-- A rotation of encryption keys looks for what a key sealed.
create index stored_answers_by_key on stored_answers (substr(sealed, 1, 8), id);

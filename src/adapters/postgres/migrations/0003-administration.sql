-- When the pause that ends at paused_until began.
alter table endpoints add column paused_since bigint;
alter table hosts add column paused_since bigint;

-- The encryption keys that the instance was started with.
alter table instances add column key_ids text[] not null default '{}';

-- What the operator set by the command line; the environment's source and the sandbox are no rows. None is ever deleted:
-- the sum of the revisions grows with every change.
create table sources (
  id text primary key,
  name text collate "C" not null unique,
  -- null: everybody may use it.
  account_id text references accounts (id),
  kind text not null,
  base_url text not null,
  sealed_credential bytea not null,
  agent_id text,
  environment text,
  max_polls_per_second double precision not null,
  -- Grows with every change.
  revision integer not null default 1,
  created_at bigint not null,
  updated_at bigint not null
);

-- Keys for hashes of what cannot be hashed anew, because only its owner knows it.
create table hash_keys (
  name text primary key,
  sealed bytea not null
);

-- What requests with an Idempotency-Key were answered, for as long as the key counts. The id is a hash of account,
-- method, path and key; what was sent and answered is inside `sealed`.
create table stored_answers (
  id text primary key,
  account_id text not null,
  sealed bytea not null,
  -- Of a test whose attempt is not recorded yet: the delivery that will be the answer.
  delivery_id text references deliveries (id) on delete cascade,
  expires_at bigint not null
);
create index stored_answers_by_delivery on stored_answers (delivery_id) where delivery_id is not null;
create index stored_answers_by_expiry on stored_answers (expires_at);

create index api_keys_by_account on api_keys (account_id, id);

-- A sealed value begins with the id of its key: which keys are in use is read in as many steps as there are keys.
create index accounts_by_key on accounts (substr(sealed_signing_key, 1, 8), id);
create index secrets_by_key on secrets (substr(sealed, 1, 8), id);
create index endpoints_by_key on endpoints (substr(sealed_headers, 1, 8), id) where sealed_headers is not null;
create index sources_by_key on sources (substr(sealed_credential, 1, 8), id);
create index hash_keys_by_key on hash_keys (substr(sealed, 1, 8), name);
create index stored_answers_by_key on stored_answers (substr(sealed, 1, 8), id);

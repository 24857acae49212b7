-- What the operator set by the command line; the environment's source and the sandbox are no rows.
create table sources (
  id text primary key,
  name text not null unique,
  -- null: everybody may use it.
  account_id text references accounts (id),
  kind text not null,
  base_url text not null,
  sealed_credential blob not null,
  agent_id text,
  environment text,
  max_polls_per_second real not null,
  -- Grows with every change.
  revision integer not null default 1,
  created_at integer not null,
  updated_at integer not null
) strict;

-- Keys for hashes of what cannot be hashed anew, because only its owner knows it.
create table hash_keys (
  name text primary key,
  sealed blob not null
) strict;

-- The encryption keys that the last server was started with.
create table server_keys (
  id text primary key
) strict, without rowid;

create index api_keys_by_account on api_keys (account_id, id);

-- A sealed value begins with the id of its key: which keys are in use is read in as many steps as there are keys.
create index accounts_by_key on accounts (substr(sealed_signing_key, 1, 8), id);
create index secrets_by_key on secrets (substr(sealed, 1, 8), id);
create index endpoints_by_key on endpoints (substr(sealed_headers, 1, 8), id) where sealed_headers is not null;
create index sources_by_key on sources (substr(sealed_credential, 1, 8), id);
create index hash_keys_by_key on hash_keys (substr(sealed, 1, 8), name);

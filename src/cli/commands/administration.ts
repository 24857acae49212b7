import { statSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { openPostgresAdministration } from "../../adapters/postgres/opening.ts";
import { openSqliteAdministration } from "../../adapters/sqlite/store.ts";
import { systemClock } from "../../adapters/clock.ts";
import { readStoreConfig } from "../../service/config.ts";
import type { StoreConfig } from "../../service/config.ts";
import { StartupError } from "../../domain/errors.ts";
import { AccountAdministration } from "../../engine/administration/accounts.ts";
import { openKeyring } from "../../service/open-keyring.ts";
import type { Keyring } from "../../service/open-keyring.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { AdministrationStore } from "../../ports/stores/service-store.ts";

const startingServerMs = 10_000;
const askAgainMs = 200;

/** Database of the environment, opened beside a service that may run on it. */
export class Administration implements AsyncDisposable {
  readonly config: StoreConfig;
  readonly store: AdministrationStore;
  readonly clock = systemClock;
  /** Number of migrations that were applied when the database was opened. */
  readonly migrations: number;

  constructor(config: StoreConfig, opened: { readonly store: AdministrationStore; readonly migrations: number }) {
    this.config = config;
    this.store = opened.store;
    this.migrations = opened.migrations;
  }

  /** Keys that match the database. */
  keyring(): Promise<Keyring> {
    const { database, encryptionKeys } = this.config;
    return openKeyring(this.store, { encryptionKeys, databasePath: database.kind === "sqlite" ? database.path : null });
  }

  /** Returns the keys for a command that seals values. Rejects if a running service lacks the first key. */
  async sealingKeyring(): Promise<Keyring> {
    const keyring = await this.keyring();
    const [keyId] = keyring.secretBox.keyIds;
    if (await this.#isLackedByServer(keyId))
      throw new StartupError(
        `the running service does not have the key ${keyId}, the first in ${keyring.origin}, and could not decrypt new values: start it with that key first`,
      );
    return keyring;
  }

  /** Returns whether a running service lacks the key. Waits for a starting service to report its keys. */
  async #isLackedByServer(keyId: string): Promise<boolean> {
    const deadlineMs = this.clock.monotonicMs() + startingServerMs;
    for (;;) {
      const { lacking, starting } = await this.store.findServersWithoutKey(keyId);
      if (lacking > 0) return true;
      if (starting === 0) return false;
      if (this.clock.monotonicMs() >= deadlineMs) return true;
      await setTimeout(askAgainMs);
    }
  }

  async accounts(): Promise<AccountAdministration> {
    return new AccountAdministration({ store: this.store, clock: this.clock, ...(await this.keyring()) });
  }

  /** Finds an account by id or name; throws if there is none. */
  async account(idOrName: string): Promise<Account> {
    const account = await this.store.findAccount(idOrName);
    if (account === null) throw new Error(`no account ${JSON.stringify(idOrName)}`);
    return account;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.store.close();
  }
}

/** Opens the database of `DATABASE_URL`. Throws a one-line error if it does not exist or cannot be used. */
export async function openAdministration(): Promise<Administration> {
  const config = readDatabaseConfig();
  if (isMissing(config)) throw new Error(missingDatabase(config));
  return open(config);
}

/** Opens the database of `DATABASE_URL`. One that does not exist is created, and `onCreated` is called with its path. */
export async function openOrCreateAdministration(onCreated: (path: string) => void): Promise<Administration> {
  const config = readDatabaseConfig();
  const isNew = isMissing(config);
  const administration = await open(config);
  if (isNew && config.database.kind === "sqlite") onCreated(config.database.path);
  return administration;
}

async function open(config: StoreConfig): Promise<Administration> {
  const { database, postgresUrl } = config;
  const opening = database.kind === "sqlite" ? openSqliteAdministration(database.path) : openPostgresAdministration(postgresUrl ?? "");
  return new Administration(config, await opening);
}

/** Returns whether there is no database file, or an empty one, which a command that was interrupted may have left. */
function isMissing({ database }: StoreConfig): boolean {
  return database.kind === "sqlite" && (statSync(database.path, { throwIfNoEntry: false })?.size ?? 0) === 0;
}

function missingDatabase({ database }: StoreConfig): string {
  const path = database.kind === "sqlite" ? database.path : "";
  return `there is no database ${path}: check DATABASE_URL (only serve and account create make a database)`;
}

/** Reads the database settings of the environment; throws if they are invalid. */
export function readDatabaseConfig(): StoreConfig {
  const read = readStoreConfig();
  if (read.kind === "invalid") throw new Error(read.faults.join("; "));
  const { config } = read;
  if (config.database.kind === "sqlite" && config.database.path === ":memory:")
    throw new Error("DATABASE_URL: a database in memory belongs to the process that made it");
  return config;
}

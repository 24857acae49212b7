import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock } from "../../src/adapters/clock.ts";
import { openSqliteAdministration } from "../../src/adapters/sqlite/store.ts";
import { readConfig } from "../../src/service/config.ts";
import { AccountAdministration } from "../../src/engine/administration/accounts.ts";
import { openKeyring } from "../../src/service/open-keyring.ts";
import { createService } from "../../src/service/create-service.ts";
import type { ServiceOverrides } from "../../src/service/create-service.ts";

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is JSON; null where there is none. */
  readonly body: unknown;
};

/** One account's way into the API. */
export type AccountClient = {
  readonly accountId: string;
  readonly key: string;
  send(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
};

/**
 * The whole service in this process, on a database file of its own, with as many accounts as are asked for. It ends with
 * the test.
 */
export async function accountsService(environment: Readonly<Record<string, string>> = {}, overrides: ServiceOverrides = {}) {
  const folder = await mkdtemp(join(tmpdir(), "ringback-accounts-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const databasePath = join(folder, "ringback.db");
  const read = readConfig({
    DATABASE_URL: `sqlite:${databasePath}`,
    PORT: "0",
    HOST: "127.0.0.1",
    METRICS_PORT: "0",
    LOG_LEVEL: "silent",
    RINGBACK_API_KEY: "running-key-running-key-running",
    CALLBACK_ALLOW: "127.0.0.1/32",
    CALLBACK_ALLOW_HTTP: "true",
    ...environment,
  });
  if (read.kind === "invalid") throw new Error(read.faults.join("; "));
  const service = await createService(read.config, read.secrets, overrides);
  onTestFinished(() => service.stop());
  const url = `http://127.0.0.1:${service.apiPort}`;

  async function createAccount(name: string, { usesDefaultSource = true } = {}): Promise<AccountClient> {
    const { store } = await openSqliteAdministration(databasePath);
    const keyring = await openKeyring(store, { given: read.kind === "config" ? read.secrets.encryptionKeys : null, databasePath });
    const created = await new AccountAdministration({ store, clock: systemClock, ...keyring }).createAccount(name, usesDefaultSource);
    await store.close();
    if (created.kind !== "created") throw new Error(`there is an account ${name}`);
    return { accountId: created.accountId, key: created.key, send: sender(url, created.key) };
  }
  return { url, service, databasePath, createAccount };
}

function sender(url: string, key: string): AccountClient["send"] {
  return async (method, path, body, headers = {}) => {
    const answer = await fetch(new URL(path, url), {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get("content-type") ?? "");
    return { status: answer.status, headers: answer.headers, body: isJson ? (JSON.parse(text) as unknown) : text === "" ? null : text };
  };
}

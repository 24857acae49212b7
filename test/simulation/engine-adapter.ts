import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { operationNumbers } from "../../src/adapters/sqlite/operations.ts";
import { openConnection } from "../../src/adapters/sqlite/connection/open-connection.ts";
import type { Request as StoreRequest } from "../../src/adapters/sqlite/writer-thread/group.ts";
import type { WriterHost } from "../../src/adapters/sqlite/writer-thread/group-queue.ts";
import type { OpenPostgres } from "../../src/adapters/postgres/opening.ts";
import type { DeliveryPolicy } from "../../src/domain/deliveries/retry-policy.ts";
import type { OpenStore } from "../../src/service/open-store.ts";
import type { LeaseTimes } from "../../src/engine/instances/membership.ts";
import { KeySequence, useKeys } from "../../src/domain/ids.ts";
import { drawBytes } from "../../src/domain/secrets/random-bytes.ts";
import { AccountAdministration } from "../../src/engine/administration/accounts.ts";
import type { CreatedKey } from "../../src/engine/administration/accounts.ts";
import { leaseTimes } from "../../src/engine/instances/membership.ts";
import { createApp } from "../../src/http/app.ts";
import type { CallSource } from "../../src/ports/call-source.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { ServiceStore, StoreStats } from "../../src/ports/stores/service-store.ts";
import type { Logger } from "../../src/ports/telemetry.ts";
import type { AddressGuard, WebhookSender } from "../../src/ports/webhook-sender.ts";
import { readConfig } from "../../src/service/config.ts";
import type { Config } from "../../src/service/config.ts";
import { createEngine } from "../../src/service/create-engine.ts";
import type { Engine } from "../../src/service/create-engine.ts";
import { deliveryPolicyOf, prepareAccounts } from "../../src/service/create-service.ts";
import { createSources, sourceKinds } from "../../src/service/create-sources.ts";
import type { Sources } from "../../src/service/create-sources.ts";
import { silentMetrics } from "../harness/silent-telemetry.ts";

/*
 * All that a simulation knows of the service's code stands here, so that a change of the service meets it in one place.
 * The composition is `createService`'s, without sockets: the app is asked in process, the network is behind the ports.
 */

export { Database } from "../../src/adapters/sqlite/connection/database.ts";
export { serveWriter } from "../../src/adapters/sqlite/writer-thread/writer.ts";
export type { FromWorker, ToWorker } from "../../src/adapters/sqlite/writer-thread/writer.ts";
export type { WriterHost, WriterThread } from "../../src/adapters/sqlite/writer-thread/group-queue.ts";
export { packFromWriter, packToWriter, unpackFromWriter, unpackToWriter } from "../../src/adapters/sqlite/messages/writer-messages.ts";
export { packValue } from "../../src/adapters/sqlite/messages/packing.ts";
export type { DatabaseSync } from "node:sqlite";
export type { AttemptOutcome } from "../../src/domain/deliveries/attempt.ts";
export type { NotStarted } from "../../src/ports/not-started.ts";
export type { Observation } from "../../src/domain/calls/call.ts";
export type { CallTrigger, TriggerOutcome } from "../../src/ports/call-trigger.ts";
export type { CallSource, PollAnswer, PollTarget } from "../../src/ports/call-source.ts";
export type { Clock, Timer } from "../../src/ports/clock.ts";
export type { ServiceStore } from "../../src/ports/stores/service-store.ts";
export type { Shares, Sweep } from "../../src/ports/stores/instance-store.ts";
export type { GateState } from "../../src/ports/stores/shared-source-store.ts";
export type { SendJob } from "../../src/ports/stores/send-job.ts";
export type { Notice, WatchedCall } from "../../src/ports/stores/call-store.ts";
export type { InstanceSignal } from "../../src/ports/peer-notifier.ts";
export type { OpenStore } from "../../src/service/open-store.ts";
export { InstanceFencedError, StoreUnavailableError } from "../../src/domain/errors.ts";
export { raisedRate } from "../../src/domain/sources/rate-division.ts";
export type { WebhookExchange, WebhookRequest, WebhookSender } from "../../src/ports/webhook-sender.ts";
export type { StoreStats, CreatedKey };
export { decodeId, encodeId } from "../../src/domain/ids.ts";
export type { IdPrefix } from "../../src/domain/ids.ts";
export { hmacKeyOf, signWebhook } from "../../src/domain/webhooks/signature.ts";
/** One operation of a group, by its name. */
export type GroupRequest = { readonly name: string; readonly args: readonly unknown[] };

const operationNames = Object.keys(operationNumbers);

/** What a group does, as it can be read. */
export function namedRequests(requests: readonly StoreRequest[]): readonly GroupRequest[] {
  return requests.map(({ operation, args }) => ({ name: operationNames[operation] ?? "unknown", args }));
}

/** An operation that does not exist throws inside the transaction, as a bug would. */
export function brokenRequest(request: StoreRequest): StoreRequest {
  return { ...request, operation: operationNames.length };
}

export type ProcessOptions = {
  /** As in the environment of a real one. */
  readonly environment: Readonly<Record<string, string>>;
  /** A file, or `:memory:`. */
  readonly path: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Opens what the process keeps its data in. */
  readonly open: (database: DatabaseOptions) => Promise<OpenStore>;
  readonly leaseTimes?: LeaseTimes;
  readonly sender: WebhookSender;
  readonly guard: AddressGuard;
  readonly upstreamOf: (sourceName: string) => CallSource;
  readonly onLine: (level: string, message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** The process must end (exit 70). */
  readonly onFatal: (error: Error) => void;
  /** A planted bug: another store around the real one. */
  readonly aroundStore?: (store: ServiceStore) => ServiceStore;
};

export type DatabaseOptions = { readonly path: string; readonly policy: DeliveryPolicy; readonly clock: Clock };
/** What several instances share besides the store. */
export type SharedParts = Omit<OpenPostgres, "store" | "clock" | "close">;

/** Starts of a simulation follow each other. */
const announceStop = () => undefined;

/** Opens the embedded store on a host, as a process has it that is alone. */
export async function openOn(host: WriterHost, { path, policy, clock }: DatabaseOptions): Promise<OpenStore> {
  // In a world 24 operations rarely wait.
  const store = await openSqliteStore({ path, policy, clock, host, recordLingerMs: 5, aheadFrom: 1 });
  return { store, shared: null, clock, announceStop, close: () => store.close() };
}

const closeNothing = () => Promise.resolve();

/** A store that several instances share, as one of them has it. */
export function openStoreOn(store: ServiceStore, shared: SharedParts, clock: Clock): OpenStore {
  return { store, shared: { ...shared, store, clock, close: closeNothing }, clock, announceStop, close: closeNothing };
}

/** Work on more than one or two rows is carried out by marks, so that worlds have some although they are small. */
function worldPolicyOf(config: Config): DeliveryPolicy {
  const policy = deliveryPolicyOf(config);
  const size = 1 + (policy.scheduleMs.length % 2);
  return { ...policy, marks: { threshold: size, portion: size } };
}

/** How the deliveries of a world are retried. */
export function policyOf(environment: Readonly<Record<string, string>>): DeliveryPolicy {
  const read = readConfig({ ...environment, DATABASE_URL: "sqlite::memory:" });
  if (read.kind === "invalid") throw new Error(read.faults.join("; "));
  return worldPolicyOf(read.config);
}

export type ApiAnswer = { readonly status: number; readonly text: string };
export type ApiRequest = {
  readonly method: string;
  readonly path: string;
  readonly key: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

/** One process of the service, from its start to its stop or its crash. */
export type EngineProcess = {
  /** Rejects when the process cannot go on. */
  request(request: ApiRequest): Promise<ApiAnswer>;
  readonly operator: {
    createAccount(name: string): Promise<CreatedKey>;
    createKey(accountId: string): Promise<CreatedKey>;
    revokeKey(keyId: string): Promise<void>;
    figures(): Promise<StoreStats>;
  };
  /** As after SIGTERM; resolves when everything is closed. `answered`: when every request has been, or their grace has ended. */
  stop(graceMs: number, answered: Promise<void>): Promise<void>;
  /** Ends the requests that are never answered, after its world is over: what waits on a signal is kept alive by Node.js. */
  abandon(): void;
};

/** Starts one; what it asks of the store is answered as the host decides. */
export async function startProcess(options: ProcessOptions): Promise<EngineProcess> {
  const { clock, random } = options;
  const read = readConfig({ ...options.environment, DATABASE_URL: `sqlite:${options.path}` });
  if (read.kind === "invalid") throw new Error(read.faults.join("; "));
  const { config, secrets } = read;
  const opened = await options.open({ path: options.path, policy: worldPolicyOf(config), clock });
  const store = options.aroundStore?.(opened.store) ?? opened.store;
  const keyring = await prepareAccounts(store, config, secrets, clock);
  const logger = loggerTo(options.onLine);
  const metrics = { ...silentMetrics, instances: () => undefined };
  let isStopping = false;
  const engine: Engine = createEngine({
    config,
    opened: { ...opened, store },
    keyring,
    sources: scripted(createSources(config, secrets, clock), options.upstreamOf),
    guard: options.guard,
    sender: options.sender,
    logger,
    metrics,
    leaseTimes: options.leaseTimes ?? leaseTimes,
    random,
    isStopping: () => isStopping,
  });
  await engine.start(new AbortController().signal);
  const app = createApp({
    ...engine,
    store,
    secretBox: keyring.secretBox,
    clock,
    logger,
    metrics,
    limits: config.limits,
    retentionDays: config.retentionDays,
    sourceKinds,
    endpointMaxInFlight: config.delivery.endpointMaxInFlight,
    publicUrl: config.api.publicUrl,
    version: config.version,
  });
  engine.supervisor.start();
  void Promise.race([store.fatal, engine.supervisor.fatal]).then(options.onFatal);
  const accounts = new AccountAdministration({ store, clock, ...keyring });
  const requests = new Set<AbortController>();
  return {
    request: async ({ method, path, key, body, headers = {} }) => {
      const text = body === undefined ? null : JSON.stringify(body);
      const sized = text === null ? {} : { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) };
      const abort = new AbortController();
      requests.add(abort);
      const answer = await app.fetch(
        new Request(`http://ringback.test${path}`, {
          method,
          headers: { authorization: `Bearer ${key}`, ...sized, ...headers },
          signal: abort.signal,
          ...(text === null ? {} : { body: text }),
        }),
      );
      requests.delete(abort);
      return { status: answer.status, text: await answer.text() };
    },
    operator: {
      createAccount: async (name) => {
        const created = await accounts.createAccount(name, true, { mayPlace: true });
        if (created.kind !== "created") throw new Error(`the account ${name} is there`);
        return created;
      },
      createKey: (accountId) => accounts.createKey(accountId),
      revokeKey: async (keyId) => void (await store.revokeKey({ by: null, keyId, accountId: null, nowMs: clock.nowMs() })),
      figures: () => store.readStats(),
    },
    stop: async (graceMs, answered) => {
      isStopping = true;
      await Promise.all([engine.drain(graceMs), answered]);
      await engine.leave();
      await engine.close();
      await options.sender.close();
      await opened.close();
    },
    abandon: () => {
      for (const abort of requests) abort.abort();
    },
  };
}

/** The sources as a start makes them, asked of the simulated upstream. */
function scripted(sources: Sources, upstreamOf: ProcessOptions["upstreamOf"]): Sources {
  const setups = sources.setups.map((setup) => {
    if (setup.source.kind === "sandbox") return setup;
    void setup.callSource.close();
    return { ...setup, callSource: upstreamOf(setup.source.name) };
  });
  return { ...sources, setups };
}

function loggerTo(onLine: ProcessOptions["onLine"]): Logger {
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => onLine(level, message, fields);
  return { debug: () => undefined, info: at("info"), warn: at("warn"), error: at("error") };
}

/**
 * Forgets the random bytes and ids of this thread that the life before ended here with: what is drawn from now on follows
 * from the seed.
 */
export function forgetLastLife(): void {
  useKeys(new KeySequence(1, -1));
  drawBytes(8192);
}

let template: string | null = null;

/** The path of a new database file with the schema of this program, on a file system in memory where there is one. */
export function newDatabaseFile(): { readonly path: string; readonly remove: () => void } {
  const root = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  if (template === null) {
    const folder = mkdtempSync(join(root, "ringback-simulation-"));
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "template.db");
    const { connection, lock } = openConnection(path);
    connection.close();
    lock?.close();
    template = path;
  }
  const folder = mkdtempSync(`${template}-`);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "ringback.db");
  copyFileSync(template, path);
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

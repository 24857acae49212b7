import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isListenHost, parseAllowList, parseUrlHost } from "../domain/webhooks/address.ts";
import { parseSchedule } from "../domain/deliveries/retry-policy.ts";
import {
  agentIdFault,
  credentialFault,
  environmentNameFault,
  defaultMaxPollsPerSecond,
  kindFieldNames,
  kindFields,
  pollsPerSecondRange,
} from "../domain/sources/source-settings.ts";
import type { SourceSettings } from "../domain/sources/source-settings.ts";
import { parseMapEntry } from "../domain/sources/status-map.ts";
import type { StatusMapChanges } from "../domain/sources/status-map.ts";
import { parseEncryptionKeys } from "../adapters/sealing/secret-box.ts";
import { tlsParameterFault } from "../adapters/postgres/connection/connection-string.ts";
import { upstreamKinds } from "../adapters/upstream/kinds.ts";
import type { UpstreamKind } from "../ports/upstream-kind.ts";
import { mapAccountLimits } from "../domain/quotas.ts";
import type { AccountLimits } from "../domain/quotas.ts";
import { EnvironmentReader } from "./environment-reader.ts";

/** Checked settings of the operator. Contains no secrets, so that it can be logged. */
export type Config = {
  readonly version: string;
  /** The path is absolute, or `:memory:`. */
  readonly database: { readonly kind: "sqlite"; readonly path: string } | { readonly kind: "postgres" };
  readonly api: { readonly port: number; readonly host: string; readonly publicUrl: string | null };
  readonly metrics: { readonly port: number; readonly host: string };
  /** The source `default`; `null` if it is not configured. */
  readonly source: SourceSettings | null;
  readonly polling: {
    readonly intervalMinMs: number;
    readonly intervalMaxMs: number;
    /** Whether calls that are likelier to change are polled sooner. */
    readonly freshness: "learned" | "even";
    readonly notFoundGraceMs: number;
    readonly lostAfterMs: number;
    readonly watchDeadlineMs: number;
    /** Age of a watch after which its call is overdue. */
    readonly overdueAfterMs: number;
  };
  readonly delivery: {
    readonly scheduleMs: readonly number[];
    readonly timeoutMs: number;
    readonly maxInFlight: number;
    readonly endpointMaxInFlight: number;
    readonly hostMaxInFlight: number;
    /** Attempts by `retry` and `test` that may be under way, over all accounts. */
    readonly manualMaxInFlight: number;
    /** Webhooks per second by host name, over all accounts. */
    readonly hostRateLimits: ReadonlyMap<string, number>;
    readonly orderHoldMs: number;
    readonly failingAfterMs: number;
    readonly disableAfterMs: number;
  };
  readonly callbacks: {
    readonly allow: readonly string[];
    readonly allowHttp: boolean;
    readonly ports: readonly number[];
    readonly dnsServers: readonly string[];
  };
  /** Whether the account `default` may place calls; `null` leaves it as it is. */
  readonly mayPlace: boolean | null;
  readonly limits: AccountLimits;
  readonly retentionDays: number;
  readonly logLevel: string;
  /** Time during which a stopping service is not ready, yet takes requests as before. */
  readonly shutdownDelayMs: number;
  readonly shutdownGraceMs: number;
  /** Oddities that do not prevent the start, one line each, without values. */
  readonly warnings: readonly string[];
};

/** Secrets of the operator; never logged and never part of an error. */
export type Secrets = {
  readonly apiKey: string | null;
  /** Base64 keys, comma-separated; `null` to keep a generated key in the data folder. */
  readonly encryptionKeys: string | null;
  /** `postgres://…`, which may contain a password; `null` with SQLite. */
  readonly postgresUrl: string | null;
  readonly upstreamCredential: string | null;
};

export type ConfigResult =
  | { readonly kind: "config"; readonly config: Config; readonly secrets: Secrets }
  /** One line per fault, with the variable and what to do, but without a value that may be secret. */
  | { readonly kind: "invalid"; readonly faults: readonly string[] };

const packageFolder = resolve(fileURLToPath(new URL("../..", import.meta.url)));
const dayMs = 24 * 60 * 60 * 1000;
const apiKeyMinLength = 24;
const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** Reads and checks the environment; an empty variable counts as unset. */
export function readConfig(environment: Readonly<Record<string, string | undefined>> = process.env): ConfigResult {
  const env = new EnvironmentReader(environment);
  const { source, credential } = readSource(env);
  const allowHttp = env.flag("CALLBACK_ALLOW_HTTP", false);
  const host = readHost(env, "HOST") ?? "0.0.0.0";
  const intervalMinMs = env.integer("POLL_INTERVAL_MIN_MS", 2000, 10, dayMs);
  const intervalMaxMs = env.integer("POLL_INTERVAL_MAX_MS", 5000, 10, dayMs);
  if (intervalMaxMs < intervalMinMs)
    env.fault("POLL_INTERVAL_MIN_MS", `is ${intervalMinMs}, above POLL_INTERVAL_MAX_MS (${intervalMaxMs}): set both`);
  const { database, postgresUrl } = readDatabase(env);
  const [port, metricsPort] = [env.integer("PORT", 8080, 0, 65535), env.integer("METRICS_PORT", 9091, 0, 65535)];
  if (port === metricsPort && port !== 0)
    env.fault("METRICS_PORT", `is ${port}, as PORT is: choose another one, or 0 to turn the metrics off`);
  const config: Config = {
    version: readVersion(),
    database,
    api: { port, host, publicUrl: readPublicUrl(env) },
    metrics: { port: metricsPort, host: readHost(env, "METRICS_HOST") ?? host },
    source,
    polling: {
      intervalMinMs,
      intervalMaxMs,
      freshness: env.choice("POLL_FRESHNESS", ["learned", "even"], "learned"),
      notFoundGraceMs: env.integer("NOT_FOUND_GRACE_MS", 30_000, 0, dayMs),
      lostAfterMs: env.integer("LOST_AFTER_MS", 300_000, 0, dayMs),
      watchDeadlineMs: env.integer("WATCH_DEADLINE_MS", dayMs, 1000, 7 * dayMs),
      overdueAfterMs: env.integer("CALL_OVERDUE_AFTER_MS", 7_200_000, 0, 365 * dayMs),
    },
    delivery: {
      scheduleMs: readSchedule(env),
      timeoutMs: env.integer("DELIVERY_TIMEOUT_MS", 15_000, 100, 600_000),
      maxInFlight: env.integer("DELIVERY_MAX_IN_FLIGHT", 512, 2, 10_000),
      endpointMaxInFlight: env.integer("ENDPOINT_MAX_IN_FLIGHT", 32, 1, 1000),
      manualMaxInFlight: env.integer("MANUAL_MAX_IN_FLIGHT", 32, 0, 10_000),
      hostMaxInFlight: env.integer("HOST_MAX_IN_FLIGHT", 64, 1, 10_000),
      hostRateLimits: readHostRateLimits(env),
      orderHoldMs: env.integer("ORDER_HOLD_MS", 60_000, 0, dayMs),
      failingAfterMs: env.integer("ENDPOINT_FAILING_AFTER_MS", 3_600_000, 0, 365 * dayMs),
      disableAfterMs: env.integer("ENDPOINT_DISABLE_AFTER_MS", 5 * dayMs, 0, 365 * dayMs),
    },
    callbacks: {
      allow: readAllowList(env),
      allowHttp,
      ports: readPorts(env, allowHttp ? [443, 80] : [443]),
      dnsServers: readDnsServers(env),
    },
    mayPlace: env.text("RINGBACK_MAY_PLACE") === null ? null : env.flag("RINGBACK_MAY_PLACE", false),
    limits: mapAccountLimits(({ variable, defaultLimit, maxLimit }) => env.integer(variable, defaultLimit, 0, maxLimit)),
    retentionDays: env.number("RETENTION_DAYS", 30, 0, 3650),
    logLevel: env.choice("LOG_LEVEL", logLevels, "info"),
    shutdownDelayMs: env.integer("SHUTDOWN_DELAY_MS", 0, 0, 600_000),
    shutdownGraceMs: env.integer("SHUTDOWN_GRACE_MS", 20_000, 0, 600_000),
    warnings: env.warnings,
  };
  const apiKey = env.text("RINGBACK_API_KEY");
  if (apiKey !== null && (apiKey.length < apiKeyMinLength || !/^[\x21-\x7e]+$/.test(apiKey)))
    env.fault("RINGBACK_API_KEY", `must be at least ${apiKeyMinLength} visible ASCII characters`);
  const encryptionKeys = readEncryptionKeys(env);
  if (database.kind === "postgres" && encryptionKeys === null)
    env.fault("RINGBACK_ENCRYPTION_KEY", "is required with Postgres, the same for every instance: 32 bytes in base64");
  const secrets = { apiKey, encryptionKeys, postgresUrl, upstreamCredential: credential };
  env.checkNames();
  return env.faults.length > 0 ? { kind: "invalid", faults: env.faults } : { kind: "config", config, secrets };
}

/** Settings for opening the store. Administration needs no others. */
export type StoreConfig = {
  readonly database: Config["database"];
  readonly postgresUrl: string | null;
  readonly encryptionKeys: string | null;
};

/** Reads the store settings only, so that commands work in an environment in which the service would not start. */
export function readStoreConfig(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): { readonly kind: "config"; readonly config: StoreConfig } | { readonly kind: "invalid"; readonly faults: readonly string[] } {
  const env = new EnvironmentReader(environment);
  const config = { ...readDatabase(env), encryptionKeys: readEncryptionKeys(env) };
  // A misspelt DATABASE_URL would lead a command to the default database.
  env.checkNames();
  return env.faults.length > 0 ? { kind: "invalid", faults: env.faults } : { kind: "config", config };
}

/** Reads one variable, regardless of faults in others; `null` if it is unset or empty. Throws if it is in quotes. */
export function readVariable(name: string, environment: Readonly<Record<string, string | undefined>> = process.env): string | null {
  const env = new EnvironmentReader(environment);
  const value = env.text(name);
  if (env.faults.length > 0) throw new Error(env.faults.join("; "));
  return value;
}

/** Reads the version of the package. */
export function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  return manifest.version;
}

/** Reads the keys as they are given; `null` if there are none. Whether they fit the database is known once that is open. */
function readEncryptionKeys(env: EnvironmentReader): string | null {
  const keys = env.text("RINGBACK_ENCRYPTION_KEY");
  const parsed = keys === null ? null : parseEncryptionKeys(keys);
  if (parsed?.kind === "invalid") env.fault("RINGBACK_ENCRYPTION_KEY", parsed.detail);
  return keys;
}

function readDatabase(env: EnvironmentReader): { readonly database: Config["database"]; readonly postgresUrl: string | null } {
  const given = env.text("DATABASE_URL");
  const parsed = parseDatabaseUrl(given ?? "sqlite:./data/ringback.db", given === null ? process.cwd() : callerFolder(env));
  if (parsed === null)
    env.fault("DATABASE_URL", "must be sqlite:<path of the database file> or postgres://<user>:<password>@<host>/<database>");
  const tlsFault = parsed === null || parsed.postgresUrl === null ? null : tlsParameterFault(parsed.postgresUrl);
  if (tlsFault !== null) env.fault("DATABASE_URL", tlsFault);
  return parsed ?? { database: { kind: "sqlite", path: "" }, postgresUrl: null };
}

/** Returns a path as the caller of the process meant it: whole, relative to the folder where npm was called, if npm called it. */
export function resolveFromCaller(path: string): string {
  return resolve(callerFolder(new EnvironmentReader(process.env)), path);
}

/** npm runs scripts in the folder of the package, and keeps the one where it was called in INIT_CWD. */
function callerFolder(env: EnvironmentReader): string {
  const folder = process.cwd();
  return folder === packageFolder ? (env.text("INIT_CWD") ?? folder) : folder;
}

/** Parses a `DATABASE_URL`, with paths relative to `folder`, that of the caller by default; `null` if it is invalid. */
export function parseDatabaseUrl(url: string, folder = resolveFromCaller(".")): Pick<StoreConfig, "database" | "postgresUrl"> | null {
  // `sqlite://data/x.db` is refused, because `data` could be a host or a folder.
  const path = /^sqlite:(?:\/\/(?=\/(?!\/)))?((?!\/\/).+)$/.exec(url)?.[1];
  if (path !== undefined)
    return { database: { kind: "sqlite", path: path === ":memory:" ? path : resolve(folder, path) }, postgresUrl: null };
  if (/^postgres(?:ql)?:\/\/./.test(url) && URL.canParse(url)) return { database: { kind: "postgres" }, postgresUrl: url };
  return null;
}

/**
 * Reads the source `default`. Requires either all variables of its kind or none, because a service with an incomplete
 * source would start and never poll.
 */
export function readSource(
  env: EnvironmentReader,
  allKinds: readonly UpstreamKind[] = upstreamKinds,
): { source: SourceSettings | null; credential: string | null } {
  const kinds = allKinds.filter(hasVariable);
  const [firstKind] = kinds;
  if (firstKind === undefined) return { source: null, credential: null };
  const names = kinds.map(({ name }) => name);
  const kindName = env.choice("POLYAI_KIND", names, firstKind.name);
  const kind = kinds.find(({ name }) => name === kindName) ?? firstKind;
  const { min, max } = pollsPerSecondRange;
  const maxPollsPerSecond = env.number("POLYAI_MAX_POLLS_PER_SECOND", defaultMaxPollsPerSecond, min, max);
  const statusMap = readStatusMap(env, kind);
  const fieldVariables = kindFieldNames.map((field) => kindFields[field].variable);
  const variables = ["POLYAI_BASE_URL", ...kinds.map(({ credentialVariable }) => credentialVariable), ...fieldVariables];
  // Every variable is read, because the names that were read are those that exist.
  const given = variables.filter((name) => env.text(name) !== null);
  if (given.length === 0) return { source: null, credential: null };
  const { credentialVariable } = kind;
  const required = ["POLYAI_BASE_URL", credentialVariable, ...kind.fields.map((field) => kindFields[field].variable)];
  for (const name of required)
    if (env.text(name) === null)
      env.fault(name, `is missing: ${kind.name} needs ${required.join(", ")} (or none of them, for no default source)`);
  for (const name of given) if (!required.includes(name)) env.warning(name, `has no effect with POLYAI_KIND=${kind.name}`);
  const credential = env.text(credentialVariable);
  const fault = credential === null ? null : credentialFault(credential);
  if (fault !== null) env.fault(credentialVariable, fault);
  const baseUrl = env.httpUrl("POLYAI_BASE_URL") ?? "";
  const [agentId, environment] = [env.text(kindFields.agentId.variable), env.text(kindFields.environment.variable)];
  // A variable of another kind has no effect.
  const agentFault = agentId === null || !kind.fields.includes("agentId") ? null : agentIdFault(agentId);
  if (agentFault !== null) env.fault(kindFields.agentId.variable, agentFault);
  const environmentFault = environment === null ? null : environmentNameFault(environment, kind);
  if (environmentFault !== null) env.fault(kindFields.environment.variable, environmentFault);
  return { source: { kind: kind.name, baseUrl, agentId, environment, definition: null, statusMap, maxPollsPerSecond }, credential };
}

/** Whether the source `default` can have a kind. */
function hasVariable(kind: UpstreamKind): kind is UpstreamKind & { readonly credentialVariable: string } {
  return kind.credentialVariable !== null;
}

/** Reads the operator's changes of the status map as the JSON that sources hold; `null` if there are none. */
function readStatusMap(env: EnvironmentReader, { fixedWords }: UpstreamKind): string | null {
  const changes: Record<string, StatusMapChanges[string]> = {};
  for (const text of env.list("POLYAI_STATUS_MAP") ?? []) {
    const entry = parseMapEntry(text, fixedWords);
    if (entry.kind === "invalid") env.fault("POLYAI_STATUS_MAP", entry.detail);
    else changes[entry.word] = entry.status;
  }
  return Object.keys(changes).length === 0 ? null : JSON.stringify(changes);
}

function readSchedule(env: EnvironmentReader): readonly number[] {
  const parsed = parseSchedule(env.text("RETRY_SCHEDULE") ?? "0s,5s,5m,30m,2h,5h,10h,14h,20h,24h");
  if (parsed.kind === "schedule") return parsed.scheduleMs;
  env.fault("RETRY_SCHEDULE", parsed.detail);
  return [];
}

/** Returns `PUBLIC_URL` as the URL standard writes it, so that it is kept, compared and sent in one form. */
function readPublicUrl(env: EnvironmentReader): string | null {
  const text = env.httpUrl("PUBLIC_URL");
  const url = text === null ? null : URL.parse(text);
  if (url === null) return text;
  if (url.pathname !== "/") env.warning("PUBLIC_URL", "has a path; the API is served without one, so requests must arrive without it");
  return url.href;
}

/** Reads an address or a name to listen on; `null` if it is unset. */
function readHost(env: EnvironmentReader, name: "HOST" | "METRICS_HOST"): string | null {
  const host = env.text(name);
  if (host !== null && !isListenHost(host)) env.fault(name, "must be an address or a host name, without scheme, port or brackets");
  return host;
}

function readHostRateLimits(env: EnvironmentReader): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const entry of env.list("HOST_RATE_LIMITS") ?? ["hooks.zapier.com=25"]) {
    const match = /^([^=]+)=(\d+(?:\.\d+)?)$/.exec(entry);
    const [host, rate] = [parseUrlHost(match?.[1] ?? ""), Number(match?.[2])];
    if (host === null || !(rate > 0))
      env.fault("HOST_RATE_LIMITS", "must be host=webhooks per second, comma-separated, as in hooks.zapier.com=25");
    else limits.set(host, rate);
  }
  return limits;
}

function readAllowList(env: EnvironmentReader): readonly string[] {
  const entries = env.list("CALLBACK_ALLOW") ?? [];
  const parsed = parseAllowList(entries);
  if (parsed.kind === "invalid") env.fault("CALLBACK_ALLOW", `${JSON.stringify(parsed.entry)}: ${parsed.detail}`);
  return entries;
}

function readPorts(env: EnvironmentReader, fallback: readonly number[]): readonly number[] {
  const entries = env.list("CALLBACK_PORTS");
  if (entries === null) return fallback;
  const ports = entries.map((entry) => (/^\d{1,5}$/.test(entry) ? Number(entry) : Number.NaN));
  if (ports.length === 0 || !ports.every((port) => port >= 1 && port <= 65535))
    env.fault("CALLBACK_PORTS", "must be ports from 1 to 65535, comma-separated");
  return ports;
}

function readDnsServers(env: EnvironmentReader): readonly string[] {
  const entries = env.list("DNS_SERVERS") ?? [];
  if (!entries.every(isNameServer))
    env.fault("DNS_SERVERS", "must be addresses with an optional port, comma-separated, as in 127.0.0.1:5353");
  return entries;
}

function isNameServer(entry: string): boolean {
  if (isIP(entry) !== 0) return true;
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:]+))(?::(?<port>\d{1,5}))?$/.exec(entry);
  const { v6 = "", v4 = "", port = "53" } = match?.groups ?? {};
  return (isIP(v6) === 6 || isIP(v4) === 4) && Number(port) >= 1 && Number(port) <= 65535;
}

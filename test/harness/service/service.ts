import { useKeys } from "../../../src/domain/ids.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ServiceProcess, freePort } from "../../../src/cli/demo/service-process.ts";
import { runCommandLine } from "../../../src/cli/run-command-line.ts";
import type { Service, ServiceOverrides } from "../../../src/service/create-service.ts";
import { compileCache } from "../run/compile-cache.ts";
import { TestPostgres } from "../postgres/postgres-database.ts";
import { clientOf } from "./client.ts";
import type { Client } from "./client.ts";
import { encryptionKey, apiKey, openService, serviceEnvironment } from "./environment.ts";
import type { Environment } from "./environment.ts";

/** A database of the service's own, gone with the test, or one that the test made. */
export type DatabaseChoice = "sqlite-memory" | "sqlite-file" | "postgres" | { readonly url: string };

type InProcess = ServiceOverrides & {
  readonly as?: "inProcess";
  /** In memory unless given. */
  readonly database?: DatabaseChoice;
  readonly environment?: Environment;
};

type AsProcess = {
  readonly as: "process";
  /** A file unless given. */
  readonly database?: Exclude<DatabaseChoice, "sqlite-memory">;
  readonly environment?: Environment;
  /** Receives everything that the process writes. */
  readonly onOutput?: (text: string) => void;
  /** Name in errors. */
  readonly name?: string;
  /** Runs in place of `src/main.ts`: a program that ends up as the same service, and its arguments. */
  readonly program?: readonly string[];
};

/** On a busy machine, and a start may wait for its database. */
const startWithinMs = 60_000;

/** Result of an `account create` or `key create`. */
export type CreatedKey = { readonly account_id: string; readonly key_id: string; readonly key: string };

/** What the ways to run a service share: where it listens, its clients, and the command line on its database. */
abstract class StartedService {
  abstract readonly url: string;
  abstract readonly client: Client;
  /** File of an SQLite database, with `-wal` and `encryption.key` beside it; empty if there is none. */
  readonly databasePath: string;
  protected environment: Environment;

  constructor(environment: Environment) {
    this.environment = environment;
    this.databasePath = /^sqlite:(?!:memory:)(.*)$/.exec(environment["DATABASE_URL"] ?? "")?.[1] ?? "";
  }

  clientOf(key: string): Client {
    return clientOf(this.url, key);
  }

  /** Runs a command with the environment of the service, `given` wins; returns its output as JSON. Rejects if it fails. */
  async command<T = Readonly<Record<string, unknown>>>(args: readonly string[], given: Environment = {}): Promise<T> {
    const { code, out, error } = await this.runCommand([...args, "--json"], { ...this.environment, ...given });
    if (code !== 0) throw new Error(`${args.join(" ")}: exit code ${code}: ${error}`);
    return JSON.parse(out) as T;
  }

  protected runCommand(args: readonly string[], environment: Environment): ReturnType<typeof runCommand> {
    return runCommand(args, environment);
  }

  /** Makes an account on the database of the service; returns it with a client. */
  async createAccount(name: string, ...flags: readonly string[]): Promise<CreatedKey & { readonly client: Client }> {
    const created = await this.command<CreatedKey>(["account", "create", name, ...flags]);
    return { ...created, client: this.clientOf(created.key) };
  }
}

/** The whole service in the process of the test. */
export class InProcessService extends StartedService {
  readonly service: Service;
  readonly url: string;
  readonly client: Client;

  constructor(service: Service, environment: Environment) {
    super(environment);
    this.service = service;
    this.url = `http://127.0.0.1:${service.apiPort}`;
    this.client = clientOf(this.url);
  }

  /** The service makes ids meanwhile, in the thread of the command, so both take them from its sequence. */
  protected override runCommand(args: readonly string[], environment: Environment): ReturnType<typeof runCommand> {
    return runHere(args, environment);
  }

  /** As a SIGTERM does; also at the end of the test. */
  stop(): Promise<void> {
    return this.service.stop();
  }
}

/** The service as a process, which may be killed and started again on the same port and database. */
export class ProcessService extends StartedService {
  readonly url: string;
  readonly client: Client;
  /** Everything that its processes wrote. */
  output = "";
  readonly #options: AsProcess;
  readonly #port: number;
  #process: ServiceProcess;

  constructor(port: number, options: AsProcess, environment: Environment) {
    super(environment);
    this.#port = port;
    this.#options = options;
    this.url = `http://127.0.0.1:${port}`;
    this.client = clientOf(this.url);
    this.#process = this.#prepare();
    onTestFinished(() => {
      // A process that was stopped by SIGSTOP could not end.
      this.signal("SIGCONT");
      return this.#process[Symbol.asyncDispose]();
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Starts it and resolves when it is ready. Variables of `given` hold from now on. Rejects if it ends instead. */
  async start(given: Environment = {}): Promise<void> {
    if (Object.keys(given).length > 0) {
      this.environment = { ...this.environment, ...given };
      await this.#process[Symbol.asyncDispose]();
      this.#process = this.#prepare();
    }
    await this.#process.start(AbortSignal.timeout(startWithinMs));
  }

  /** Starts the next service on its database in this process of the test, where no process is proved by it. The one before has ended. */
  startNextHere(): Promise<InProcessService> {
    return startService({ environment: this.environment });
  }

  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null> {
    return this.#process.terminate();
  }

  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  /** SIGKILL without waiting. */
  killNow(): void {
    this.#process.killNow();
  }

  signal(signal: NodeJS.Signals): void {
    try {
      if (this.pid > 0) process.kill(this.pid, signal);
    } catch {
      // It has ended.
    }
  }

  #prepare(): ServiceProcess {
    const { name = "test", program, onOutput } = this.#options;
    return new ServiceProcess(name, {
      port: this.#port,
      key: apiKey,
      startDeadlineMs: startWithinMs,
      environment: { ...compileCache, ...this.environment },
      onOutput: (text) => {
        this.output += text;
        onOutput?.(text);
      },
      ...(program === undefined ? {} : { program }),
    });
  }
}

/** Starts the whole service, in this process or as one of its own. It ends with the test. */
export async function startService(options?: InProcess): Promise<InProcessService>;
export async function startService(options: AsProcess): Promise<ProcessService>;
export async function startService(options: InProcess | AsProcess = {}): Promise<InProcessService | ProcessService> {
  if (options.as === "process") {
    const prepared = await prepareService(options);
    await prepared.start();
    return prepared;
  }
  const { database = "sqlite-memory", environment: given = {}, as: _, ...overrides } = options;
  const environment = serviceEnvironment({ ...(await makeDatabase(database)), ...given });
  const service = await openService(environment, overrides);
  onTestFinished(() => service.stop());
  return new InProcessService(service, environment);
}

/** A service as a process that the test starts itself. */
export async function prepareService(options: AsProcess): Promise<ProcessService> {
  const { database = "sqlite-file", environment = {} } = options;
  return new ProcessService(
    await freePort(),
    options,
    serviceEnvironment({ ...(await makeDatabase(database)), LOG_LEVEL: "warn", ...environment }),
  );
}

async function makeDatabase(choice: DatabaseChoice): Promise<Environment> {
  if (choice === "sqlite-memory") return {};
  if (choice === "sqlite-file") return { DATABASE_URL: `sqlite:${join(await temporaryFolder(), "ringback.db")}` };
  if (choice !== "postgres") return onDatabase(choice.url);
  const postgres = await TestPostgres.create();
  onTestFinished(() => postgres.dispose());
  return onDatabase(postgres.url);
}

/** A Postgres database demands an encryption key in the environment. */
const onDatabase = (url: string): Environment =>
  url.startsWith("sqlite:") ? { DATABASE_URL: url } : { DATABASE_URL: url, RINGBACK_ENCRYPTION_KEY: encryptionKey };

/** A folder that is gone with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Runs a command in this process as if it were a process of its own, with these variables besides those that are set; returns its exit
 * code and output. One at a time, and beside no service of this process on the same database: the command makes ids in a slot of its own.
 */
export async function runCommand(args: readonly string[], environment: Environment = {}) {
  const keys = useKeys(null);
  try {
    return await runHere(args, environment);
  } finally {
    useKeys(keys);
  }
}

async function runHere(args: readonly string[], environment: Environment) {
  const [out, error]: [string[], string[]] = [[], []];
  const terminal = {
    out: (line: string) => out.push(line),
    error: (line: string) => error.push(line),
    signal: new AbortController().signal,
  };
  const before = { ...process.env };
  Object.assign(process.env, environment);
  try {
    return { code: await runCommandLine(args, terminal), out: out.join("\n"), error: error.join("\n") };
  } finally {
    for (const name of Object.keys(environment))
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
  }
}

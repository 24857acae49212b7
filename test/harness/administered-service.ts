import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { ServiceClient } from "../../src/cli/demo/service-client.ts";
import { compileCache } from "./run/compile-cache.ts";
import { ServiceProcess, freePort } from "../../src/cli/demo/service-process.ts";

const root = new URL("../..", import.meta.url);
/** Far more than the 5 s in which a change is noticed: what is proven with a process is that, a fake clock proves when. */
const patienceMs = 20_000;

export const environmentKey = "environment-key-environment-key";

/** A service as a process, and the command line beside it on the same database. */
export class AdministeredService {
  readonly folder: string;
  readonly databasePath: string;
  /** Everything the service wrote. */
  output = "";
  #environment: Readonly<Record<string, string>>;
  readonly #port: number;
  #service: ServiceProcess | null = null;
  readonly #clients: ServiceClient[] = [];

  private constructor(folder: string, port: number, environment: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.#port = port;
    this.databasePath = join(folder, "ringback.db");
    this.#environment = {
      METRICS_PORT: "0",
      POLL_INTERVAL_MIN_MS: "100",
      POLL_INTERVAL_MAX_MS: "1000",
      CALLBACK_ALLOW: "127.0.0.1/32",
      CALLBACK_ALLOW_HTTP: "true",
      LOG_LEVEL: "warn",
      ...environment,
    };
  }

  static async create(environment: Readonly<Record<string, string>> = {}): Promise<AdministeredService> {
    const folder = await mkdtemp(join(tmpdir(), "ringback-administered-"));
    const administered = new AdministeredService(folder, await freePort(), environment);
    onTestFinished(async () => {
      await administered.#release();
      await rm(folder, { recursive: true, force: true });
    });
    return administered;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts it; variables given here hold from now on, for the command line too. */
  async start(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#environment = { ...this.#environment, ...environment };
    this.#service = new ServiceProcess("administered", {
      port: this.#port,
      key: environmentKey,
      environment: { ...compileCache, ...this.#environment, DATABASE_URL: `sqlite:${this.databasePath}` },
      onOutput: (text) => (this.output += text),
    });
    await this.#service.start(AbortSignal.timeout(patienceMs));
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    const code = (await this.#service?.terminate()) ?? null;
    await this.#service?.[Symbol.asyncDispose]();
    this.#service = null;
    return code;
  }

  client(key: string): ServiceClient {
    const client = new ServiceClient(new URL(this.url), key);
    this.#clients.push(client);
    return client;
  }

  /** A command as a process; its output as JSON. Throws when it fails. */
  async command<T = Readonly<Record<string, unknown>>>(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", "src/cli/ringback.ts", ...args, "--json"], {
      cwd: root,
      env: { ...this.#environment, DATABASE_URL: `sqlite:${this.databasePath}`, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, error] = ["", ""];
    child.stdout.on("data", (chunk) => (out += String(chunk)));
    child.stderr.on("data", (chunk) => (error += String(chunk)));
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(`${args.join(" ")}: exit code ${code}: ${error}`);
    return JSON.parse(out) as T;
  }

  async #release(): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]();
    await this.#service?.[Symbol.asyncDispose]();
  }
}

/** Asks until the answer is as it should be, and fails with the last one when it never is. */
export async function eventually<T>(ask: () => Promise<T>, isDone: (answer: T) => boolean): Promise<T> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const answer = await ask();
    if (isDone(answer)) return answer;
    if (performance.now() > deadlineMs) throw new Error(`it never came to that: ${JSON.stringify(answer)}`);
    await setTimeout(50);
  }
}

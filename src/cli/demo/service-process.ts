import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { waitAtMost } from "../../adapters/wait-at-most.ts";
import { ServiceClient } from "./service-client.ts";

const root = new URL("../../..", import.meta.url);
/** Flags and variables of `npm start`, which bound what each thread keeps. */
const startFlags = ["--max-semi-space-size=8", "--import", "./src/runtime-check.mjs"];
const startEnvironment = { MALLOC_ARENA_MAX: "2" };
const defaultStartDeadlineMs = 20_000;
const stopDeadlineMs = 5_000;
const keptLogBytes = 8_192;

/** Returns a port that is currently free. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Runs the service as a separate process, so that it can be killed. */
export class ServiceProcess implements AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly client: ServiceClient;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #onOutput: (text: string) => void;
  readonly #program: readonly string[];
  readonly #startDeadlineMs: number;
  #child: ChildProcess | null = null;
  #log = "";

  /** `environment` is the whole environment of the process: it inherits nothing. It may override the API key, also with an empty one. */
  constructor(
    name: string,
    options: {
      readonly port: number;
      readonly key: string;
      readonly environment: Readonly<Record<string, string>>;
      /** Called with everything that the process writes. */
      readonly onOutput?: (text: string) => void;
      /** Program that runs the service, with its arguments; `src/main.ts` by default. */
      readonly program?: readonly string[];
      /** Time in which a start must become ready; 20 s by default. */
      readonly startDeadlineMs?: number;
    },
  ) {
    this.name = name;
    this.url = `http://127.0.0.1:${options.port}`;
    this.client = new ServiceClient(new URL(this.url), options.key);
    this.#environment = { RINGBACK_API_KEY: options.key, ...options.environment, PORT: String(options.port), HOST: "127.0.0.1" };
    this.#onOutput = options.onOutput ?? (() => undefined);
    this.#program = options.program ?? ["src/main.ts"];
    this.#startDeadlineMs = options.startDeadlineMs ?? defaultStartDeadlineMs;
  }

  /** Process id of the last start; 0 before the first. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Last part of the output. */
  get log(): string {
    return this.#log;
  }

  /** Starts the process and resolves when it is ready. Rejects with the end of its log if it exits or is not ready in time. */
  async start(signal: AbortSignal): Promise<void> {
    const child = spawn(process.execPath, [...startFlags, ...this.#program], {
      cwd: root,
      env: { ...startEnvironment, ...this.#environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => this.#keep(String(chunk)));
    const deadlineMs = performance.now() + this.#startDeadlineMs;
    while (!(await this.#isReady())) {
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadlineMs)
        throw new Error(`the service ${this.name} did not start:\n${this.#log}`);
      await setTimeout(50, null, { signal });
    }
  }

  /** Sends SIGKILL, so that the process neither finishes nor releases anything. Resolves when the process has ended. */
  async kill(): Promise<void> {
    const gone = this.#exited();
    this.killNow();
    await gone;
  }

  /** Sends SIGKILL without waiting, because the parent is exiting. */
  killNow(): void {
    this.#child?.kill("SIGKILL");
  }

  /** Sends SIGTERM; resolves with the exit code once the process has ended. */
  async terminate(): Promise<number | null> {
    const gone = this.#exited();
    this.#child?.kill("SIGTERM");
    await gone;
    return this.#child?.exitCode ?? null;
  }

  /** Sends SIGTERM, then SIGKILL if the process does not end in time. */
  async [Symbol.asyncDispose](): Promise<void> {
    await waitAtMost(stopDeadlineMs, this.terminate());
    await this.kill();
    await this.client[Symbol.asyncDispose]();
  }

  async #isReady(): Promise<boolean> {
    const answer = await this.client.get("/readyz").catch(() => null);
    return answer?.statusCode === 200;
  }

  async #exited(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    await once(child, "exit");
  }

  #keep(text: string): void {
    this.#onOutput(text);
    this.#log = (this.#log + text).slice(-keptLogBytes);
  }
}

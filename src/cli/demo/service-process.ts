import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { ServiceClient } from "./service-client.ts";

const root = new URL("../../..", import.meta.url);
const startDeadlineMs = 20_000;
const stopDeadlineMs = 5_000;
const keptLogBytes = 8_192;

/** A port that is free at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** The service as a process of its own, so that it can be killed as processes are. */
export class ServiceProcess implements AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly client: ServiceClient;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #onOutput: (text: string) => void;
  readonly #program: readonly string[];
  #child: ChildProcess | null = null;
  #log = "";

  /** The environment is all the process gets: nothing is inherited. It may have an API key of its own, or an empty one. */
  constructor(
    name: string,
    options: {
      readonly port: number;
      readonly key: string;
      readonly environment: Readonly<Record<string, string>>;
      /** Sees everything it writes. */
      readonly onOutput?: (text: string) => void;
      /** In place of `src/main.ts`: a program that ends up as the same service, and its arguments. */
      readonly program?: readonly string[];
    },
  ) {
    this.name = name;
    this.url = `http://127.0.0.1:${options.port}`;
    this.client = new ServiceClient(new URL(this.url), options.key);
    this.#environment = { RINGBACK_API_KEY: options.key, ...options.environment, PORT: String(options.port), HOST: "127.0.0.1" };
    this.#onOutput = options.onOutput ?? (() => undefined);
    this.#program = options.program ?? ["src/main.ts"];
  }

  /** Of the process started last; 0 before the first. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** The end of what it wrote. */
  get log(): string {
    return this.#log;
  }

  /** Starts it and resolves when it is ready. Rejects, with the end of its log, when it ends or is not ready in time. */
  async start(signal: AbortSignal): Promise<void> {
    const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", ...this.#program], {
      cwd: root,
      env: { ...this.#environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => this.#keep(String(chunk)));
    const deadlineMs = performance.now() + startDeadlineMs;
    while (!(await this.#isReady())) {
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadlineMs)
        throw new Error(`the service ${this.name} did not start:\n${this.#log}`);
      await setTimeout(50, null, { signal });
    }
  }

  /** SIGKILL, as the kernel or a power cut would: nothing is finished or handed back. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const gone = this.#exited();
    this.killNow();
    await gone;
  }

  /** The same without waiting, for the last moment of the parent. */
  killNow(): void {
    this.#child?.kill("SIGKILL");
  }

  /** SIGTERM; resolves with the exit code once it has ended by itself. */
  async terminate(): Promise<number | null> {
    const gone = this.#exited();
    this.#child?.kill("SIGTERM");
    await gone;
    return this.#child?.exitCode ?? null;
  }

  /** SIGTERM, and SIGKILL when that takes too long. */
  async [Symbol.asyncDispose](): Promise<void> {
    const gone = this.#exited();
    this.#child?.kill("SIGTERM");
    const abort = new AbortController();
    await Promise.race([gone, setTimeout(stopDeadlineMs, null, { signal: abort.signal }).catch(() => null)]);
    abort.abort();
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

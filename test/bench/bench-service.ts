import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ServiceProcess, freePort } from "../../src/cli/demo/service-process.ts";
import { apiKey, serviceEnvironment } from "../harness/service/environment.ts";
import type { Environment } from "../harness/service/environment.ts";

/** Many times what a start on a full database takes, because neighbours may have the processors. */
const startDeadlineMs = 180_000;

/** A service as a process of its own that is measured; its upstream and its receivers are on loopback. */
export async function benchService(environment: Environment): Promise<ServiceProcess> {
  const fixed = {
    POLYAI_AUTH_TOKEN: "bench",
    CALLBACK_ALLOW: "127.0.0.0/8",
    API_MAX_PER_SECOND: "0",
    ACCOUNT_MAX_ACTIVE_WATCHES: "0",
    LOG_LEVEL: "warn",
  };
  return new ServiceProcess("bench", {
    port: await freePort(),
    key: apiKey,
    environment: serviceEnvironment({ ...fixed, ...environment }),
    startDeadlineMs,
  });
}

/** A database file of a measurement; its folder is gone when it is disposed of. */
export async function benchDatabase(): Promise<AsyncDisposable & { readonly path: string; readonly url: string }> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-bench-"));
  const path = join(folder, "ringback.db");
  return { path, url: `sqlite:${path}`, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** Creates an account that may use the default source on the command line, beside the running service. Resolves with its API key. */
export async function createAccount(name: string, environment: Environment): Promise<string> {
  const args = ["--import", "./src/runtime-check.mjs", "src/cli/ringback.ts", "account", "create", name, "--default-source", "--json"];
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env: serviceEnvironment(environment) });
  return (JSON.parse(stdout) as { readonly key: string }).key;
}

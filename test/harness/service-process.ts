import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ServiceProcess, freePort } from "../../src/cli/demo/service-process.ts";
import { compileCache } from "./run/compile-cache.ts";

const apiKey = "test-key-test-key-test-key";
/** The account's own secret, so that a receiver can verify before anything is registered. */
export const signingSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

export type ProcessSetup = {
  /** Base URL of the simulated upstream; it is polled as `polyai-legacy` unless the environment says otherwise. */
  readonly upstreamUrl: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly onOutput?: (text: string) => void;
};

/** The service as a process of its own, on a database file that survives its kills and goes with the test. */
export async function serviceProcess({ upstreamUrl, environment = {}, onOutput }: ProcessSetup): Promise<ServiceProcess> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-test-"));
  const service = new ServiceProcess("test", {
    port: await freePort(),
    key: apiKey,
    ...(onOutput === undefined ? {} : { onOutput }),
    environment: {
      ...compileCache,
      DATABASE_URL: `sqlite:${join(folder, "ringback.db")}`,
      METRICS_PORT: "0",
      POLYAI_BASE_URL: upstreamUrl,
      POLYAI_AUTH_TOKEN: "upstream-token",
      POLL_INTERVAL_MIN_MS: "100",
      POLL_INTERVAL_MAX_MS: "1000",
      POLYAI_MAX_POLLS_PER_SECOND: "2000",
      CALLBACK_ALLOW: "127.0.0.1/32",
      CALLBACK_ALLOW_HTTP: "true",
      LOG_LEVEL: "warn",
      ...environment,
    },
  });
  onTestFinished(async () => {
    await service[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  return service;
}

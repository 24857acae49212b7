import { onTestFinished } from "vitest";
import { ServiceClient } from "../../src/cli/demo/service-client.ts";
import { readConfig } from "../../src/service/config.ts";
import { createService } from "../../src/service/create-service.ts";
import type { Service } from "../../src/service/create-service.ts";
import { FakeClock } from "./fake-clock.ts";

const apiKey = "test-key-test-key-test-key";

export type RunningService = {
  readonly clock: FakeClock;
  readonly client: ServiceClient;
  readonly service: Service;
  /** Lets the service's time pass, step by step, with the store's answers in between. */
  advance(ms: number): Promise<void>;
  /** Lets time pass until it is so; rejects when it is not within `limitMs` of the service's time. */
  until(isSo: () => boolean | Promise<boolean>, limitMs?: number): Promise<void>;
};

const stepMs = 100;

/** The whole service in this process, in memory, with a clock that stands still until the test moves it. Ends with the test. */
export async function runningService(
  environment: Readonly<Record<string, string>> = {},
  // Near the real time: verifiers refuse signatures that are minutes away from theirs.
  clock = new FakeClock(Date.now()),
): Promise<RunningService> {
  const config = readConfig({
    DATABASE_URL: "sqlite::memory:",
    PORT: "0",
    HOST: "127.0.0.1",
    METRICS_PORT: "0",
    RINGBACK_API_KEY: apiKey,
    CALLBACK_ALLOW: "127.0.0.1/32",
    CALLBACK_ALLOW_HTTP: "true",
    LOG_LEVEL: "silent",
    SHUTDOWN_GRACE_MS: "0",
    ...environment,
  });
  if (config.kind === "invalid") throw new Error(config.faults.join("; "));
  const service = await createService(config.config, config.secrets, { clock });
  const client = new ServiceClient(new URL(`http://127.0.0.1:${service.apiPort}`), apiKey);
  onTestFinished(async () => {
    await client[Symbol.asyncDispose]();
    const stopped = service.stop();
    await clock.advance(1000);
    await stopped;
  });
  const advance = async (ms: number): Promise<void> => {
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
      await clock.advance(Math.min(stepMs, ms - passedMs));
      // Waits for its turn in the store's queue: everything asked before it has been answered.
      await client.get("/readyz");
    }
  };
  const until: RunningService["until"] = async (isSo, limitMs = 60_000) => {
    for (let passedMs = 0; !(await isSo()); passedMs += stepMs) {
      if (passedMs >= limitMs) throw new Error(`not so after ${limitMs} ms: ${isSo.toString()}`);
      await advance(stepMs);
    }
  };
  return { clock, client, service, advance, until };
}

import { StartupError } from "../../../src/domain/errors.ts";
import { readConfig } from "../../../src/service/config.ts";
import { createService } from "../../../src/service/create-service.ts";
import type { Service, ServiceOverrides } from "../../../src/service/create-service.ts";

export type Environment = Readonly<Record<string, string>>;

/** API key of the default account. */
export const apiKey = "test-key-test-key-test-key";
/** A signing secret for clients to give, so that a receiver can verify before anything is registered. */
export const signingSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
/** 32 bytes, for services that share a database. */
export const encryptionKey = Buffer.alloc(32, 7).toString("base64");

/** Environment of a service that listens on free loopback ports and sends webhooks to loopback; `given` wins. */
export const serviceEnvironment = (given: Environment = {}): Environment => ({
  DATABASE_URL: "sqlite::memory:",
  HOST: "127.0.0.1",
  PORT: "0",
  METRICS_PORT: "0",
  RINGBACK_API_KEY: apiKey,
  CALLBACK_ALLOW: "127.0.0.1/32",
  CALLBACK_ALLOW_HTTP: "true",
  LOG_LEVEL: "silent",
  ...given,
});

/** Polls in tenths of a second, for tests on the machine's clock. */
export const fastPolling: Environment = {
  POLL_INTERVAL_MIN_MS: "100",
  POLL_INTERVAL_MAX_MS: "1000",
  POLYAI_MAX_POLLS_PER_SECOND: "2000",
};

/** Starts the whole service in this process. The caller stops it. Rejects if the environment is invalid. */
export async function openService(given: Environment = {}, overrides: ServiceOverrides = {}): Promise<Service> {
  const read = readConfig(serviceEnvironment(given));
  if (read.kind === "invalid") throw new Error(read.faults.join("\n"));
  return createService(read.config, read.secrets, overrides);
}

/**
 * Starts the service in this process and returns why it refuses, which `main.ts` writes as one line before it ends with 78.
 * Rejects if it starts, or fails in another way.
 */
export async function reasonOfRefusal(given: Environment, overrides: ServiceOverrides = {}): Promise<string> {
  const error: unknown = await openService(given, overrides).then(
    (service) => service.stop(),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartupError)) throw new Error("the start is not refused", { cause: error });
  if (error.message.includes("\n")) throw new Error(`the reason is more than one line: ${error.message}`);
  return error.message;
}

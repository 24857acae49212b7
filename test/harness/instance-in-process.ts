import { onTestFinished } from "vitest";
import { ServiceClient } from "../../src/cli/demo/service-client.ts";
import { readConfig } from "../../src/service/config.ts";
import { createService } from "../../src/service/create-service.ts";
import type { Service, ServiceOverrides } from "../../src/service/create-service.ts";
import { apiKey, encryptionKey } from "../instances/instance-cluster.ts";

export type InProcessSetup = {
  readonly databaseUrl: string;
  readonly upstreamUrl: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly overrides?: ServiceOverrides;
};

export type InProcessInstance = { readonly service: Service; readonly client: ServiceClient };

/** Short, so that what goes by heartbeats need not be waited for long. */
export const shortLease = { leaseMs: 6000, heartbeatMs: 1000, marginMs: 1500, beyondAttemptMs: 1000 };

/** One instance of several in the process of the test, for what takes no kill; stopped with the test. */
export async function inProcessInstance({
  databaseUrl,
  upstreamUrl,
  environment = {},
  overrides = { leaseTimes: shortLease },
}: InProcessSetup): Promise<InProcessInstance> {
  const result = readConfig({
    DATABASE_URL: databaseUrl,
    RINGBACK_ENCRYPTION_KEY: encryptionKey,
    RINGBACK_API_KEY: apiKey,
    HOST: "127.0.0.1",
    PORT: "0",
    METRICS_PORT: "0",
    POLYAI_BASE_URL: upstreamUrl,
    POLYAI_AUTH_TOKEN: "any",
    POLL_INTERVAL_MIN_MS: "200",
    POLL_INTERVAL_MAX_MS: "1000",
    CALLBACK_ALLOW: "127.0.0.1/32",
    CALLBACK_ALLOW_HTTP: "true",
    DELIVERY_TIMEOUT_MS: "4000",
    SHUTDOWN_GRACE_MS: "1000",
    LOG_LEVEL: "silent",
    ...environment,
  });
  if (result.kind === "invalid") throw new Error(result.faults.join("\n"));
  const service = await createService(result.config, result.secrets, overrides);
  const client = new ServiceClient(new URL(`http://127.0.0.1:${service.apiPort}`), apiKey);
  onTestFinished(async () => {
    await service.stop();
    await client[Symbol.asyncDispose]();
  });
  return { service, client };
}

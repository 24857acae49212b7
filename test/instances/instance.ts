import { startService } from "../harness/service/service.ts";
import type { InProcessService } from "../harness/service/service.ts";
import { encryptionKey } from "../harness/service/environment.ts";
import type { Environment } from "../harness/service/environment.ts";
import type { ServiceOverrides } from "../../src/service/create-service.ts";

export type InstanceSetup = {
  readonly databaseUrl: string;
  readonly upstreamUrl: string;
  readonly environment?: Environment;
  readonly overrides?: ServiceOverrides;
};

/** Short, so that tests need not wait long for the end of a lease. */
export const shortLease = { leaseMs: 6000, heartbeatMs: 1000, marginMs: 1500, beyondAttemptMs: 1000 };

/** Starts one instance of several in the process of the test, for faults that take no kill. It ends with the test. */
export const startInstance = ({
  databaseUrl,
  upstreamUrl,
  environment = {},
  overrides = { leaseTimes: shortLease },
}: InstanceSetup): Promise<InProcessService> =>
  startService({
    ...overrides,
    database: { url: databaseUrl },
    environment: {
      RINGBACK_ENCRYPTION_KEY: encryptionKey,
      POLYAI_BASE_URL: upstreamUrl,
      POLYAI_AUTH_TOKEN: "any",
      POLL_INTERVAL_MIN_MS: "200",
      POLL_INTERVAL_MAX_MS: "1000",
      DELIVERY_TIMEOUT_MS: "4000",
      SHUTDOWN_GRACE_MS: "1000",
      ...environment,
    },
  });

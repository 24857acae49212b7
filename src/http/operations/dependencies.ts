import type { AccountLimits } from "../../domain/quotas.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { Authentication } from "../../ports/use-cases/authentication.ts";
import type { EndpointSettings } from "../../ports/use-cases/endpoint-settings.ts";
import type { IdempotencyKeys } from "../../ports/use-cases/idempotency.ts";
import type { LiveState } from "../../ports/use-cases/live-state.ts";
import type { ManualDelivery } from "../../ports/use-cases/manual-delivery.ts";
import type { Registration } from "../../ports/use-cases/registration.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ReadStore } from "../../ports/stores/read-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";

/** Everything the API depends on. */
export type HttpDependencies = {
  readonly registration: Registration;
  readonly endpointSettings: EndpointSettings;
  readonly manualDelivery: ManualDelivery;
  readonly live: LiveState;
  readonly authentication: Authentication;
  readonly idempotency: IdempotencyKeys;
  readonly store: ReadStore;
  /** Seals the sessions of the dashboard. */
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits: AccountLimits;
  /** Days for which a watch is kept after its end. */
  readonly retentionDays: number;
  /** Names of the kinds that a source can have, including the sandbox. */
  readonly sourceKinds: readonly string[];
  /** Limit in flight of an endpoint that has none of its own. */
  readonly endpointMaxInFlight: number;
  /** Public address of the service as configured; `null` if unset. */
  readonly publicUrl: string | null;
  readonly version: string;
};

export type Env = { Variables: { requestId: string; account: Account } };

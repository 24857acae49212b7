import type { AccountLimits } from "../../domain/quotas.ts";
import type { Account, AccountStore, ApiKey } from "../../ports/stores/account-store.ts";
import type { Authentication } from "../../ports/use-cases/authentication.ts";
import type { EndpointSettings } from "../../ports/use-cases/endpoint-settings.ts";
import type { IdempotencyKeys, KeptAnswers } from "../../ports/use-cases/idempotency.ts";
import type { Portals } from "../../ports/use-cases/portals.ts";
import type { PortalStore } from "../../ports/stores/portal-store.ts";
import type { SessionStore } from "../../ports/stores/session-store.ts";
import type { KeyEditing } from "../../ports/use-cases/keys.ts";
import type { AuditStore } from "../../ports/stores/audit-store.ts";
import type { LiveState } from "../../ports/use-cases/live-state.ts";
import type { ManualDelivery } from "../../ports/use-cases/manual-delivery.ts";
import type { CallPlacing } from "../../ports/use-cases/placing.ts";
import type { Registration } from "../../ports/use-cases/registration.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Turns } from "../../ports/turns.ts";
import type { PlacingStore } from "../../ports/stores/placing-store.ts";
import type { StoreLifecycle } from "../../ports/stores/service-store.ts";
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
  readonly idempotency: IdempotencyKeys & KeptAnswers;
  readonly placing: CallPlacing;
  readonly keys: KeyEditing;
  readonly portals: Portals;
  readonly store: ReadStore &
    AuditStore &
    Pick<PlacingStore, "getPlacing" | "listPlacings"> &
    Pick<PortalStore, "listPortalLinks"> &
    SessionStore &
    Pick<AccountStore, "pageKeys" | "listAccounts" | "getAccount"> &
    Pick<StoreLifecycle, "readStats">;
  /** Seals the sessions of the dashboard. */
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly turns: Turns;
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

/** Share of its account's rate that a request takes. Every request takes one token ahead of its body. */
export type RateUse = {
  /** Throws a 429 if the account has taken more than its rate meanwhile. Called once a large body has arrived, before it is parsed. */
  readonly refuseInDebt: () => void;
  /** Takes further tokens. Those that are not there are missing to later requests. */
  readonly charge: (requests: number) => void;
};

/** `nextTurn` resolves in the next turn of the event loop that belongs to the account, for a large body. `rate` is undefined if the rate is not limited. With a key of the operator there is no `account`: only operations for operators run then. */
export type Env = {
  Variables: { requestId: string; account: Account; key: ApiKey; nextTurn: () => Promise<void>; rate: RateUse | undefined };
};

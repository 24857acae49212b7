import type { Actor } from "../../domain/audit.ts";
import { generateSecret } from "../../domain/webhooks/signature.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { DefaultSecretOutcome, EndpointChange, EndpointSettings, RotationOutcome } from "../../ports/use-cases/endpoint-settings.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "../../ports/use-cases/idempotency.ts";
import type { Clock } from "../../ports/clock.ts";
import type { EndpointListener } from "../../ports/commit-listener.ts";
import type { EndpointStore } from "../../ports/stores/endpoint-store.ts";
import type { EndpointView } from "../../ports/stores/read-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { Idempotency } from "../requests/idempotency.ts";
import { draftSecret, sealHeaders } from "./sealed-drafts.ts";

export type EndpointEditorOptions = {
  readonly store: Pick<EndpointStore, "patchEndpoint">;
  readonly idempotency: Pick<Idempotency, "run">;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly endpointListener: EndpointListener;
};

/** Changes endpoints on request of their account. Seals secrets, so that the store never receives one in the clear. */
export class EndpointEditor implements EndpointSettings {
  readonly #options: EndpointEditorOptions;

  constructor(options: EndpointEditorOptions) {
    this.#options = options;
  }

  async patch(account: Account, endpointId: string, change: EndpointChange, by: Actor): Promise<EndpointView | null> {
    const { store, secretBox, clock, endpointListener } = this.#options;
    const { headers, ...rest } = change;
    const sealed =
      headers === undefined ? {} : { headers: Object.keys(headers).length === 0 ? null : sealHeaders(secretBox, endpointId, headers) };
    const view = await store.patchEndpoint({ accountId: account.id, endpointId, patch: { ...rest, ...sealed }, by, nowMs: clock.nowMs() });
    if (view === null) return null;
    endpointListener.refreshEndpoint(endpointId);
    if (change.state === "enabled") endpointListener.openEndpoint(endpointId);
    else if (change.state !== undefined) endpointListener.closeEndpoint(endpointId, change.state);
    return view;
  }

  async rotateSecret(
    account: Account,
    endpointId: string,
    request: { readonly graceSeconds: number; readonly signingSecret: string | null },
    keyed: KeyedRequest<RotationOutcome> | null,
    by: Actor,
  ): Promise<RotationOutcome | IdempotencyKeyInUse> {
    const { idempotency, secretBox, clock, endpointListener } = this.#options;
    const nowMs = clock.nowMs();
    const signingSecret = request.signingSecret ?? generateSecret();
    const previousValidUntilMs = nowMs + request.graceSeconds * 1000;
    const secret = draftSecret(secretBox, signingSecret, nowMs);
    const rotation = { accountId: account.id, endpointId, secret, previousValidUntilMs, by, nowMs };
    const run = await idempotency.run(
      keyed,
      (store) => store.rotateSecret,
      rotation,
      (known): RotationOutcome => (known ? { kind: "rotated", signingSecret, previousValidUntilMs } : { kind: "unknown" }),
    );
    if (run.kind === "key_taken") return run;
    endpointListener.refreshEndpoint(endpointId);
    return run.outcome;
  }

  async setDefaultSecret(
    account: Account,
    given: string | null,
    keyed: KeyedRequest<DefaultSecretOutcome> | null,
    by: Actor,
  ): Promise<DefaultSecretOutcome | IdempotencyKeyInUse> {
    const { idempotency, secretBox, clock } = this.#options;
    const nowMs = clock.nowMs();
    const signingSecret = given ?? generateSecret();
    const request = { accountId: account.id, secret: draftSecret(secretBox, signingSecret, nowMs), by, nowMs };
    const run = await idempotency.run(
      keyed,
      (store) => store.setDefaultSecret,
      request,
      (): DefaultSecretOutcome => ({ kind: "set", signingSecret }),
    );
    return run.kind === "key_taken" ? run : run.outcome;
  }
}

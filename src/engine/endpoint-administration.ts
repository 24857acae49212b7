import { generateSecret } from "../domain/signature.ts";
import type { Account, AccountStore } from "../ports/account-store.ts";
import type { EndpointAdministration as EndpointAdministrationPort, EndpointChange } from "../ports/bridge.ts";
import type { Clock } from "../ports/clock.ts";
import type { EndpointStore } from "../ports/endpoint-store.ts";
import type { EndpointView } from "../ports/read-store.ts";
import type { SecretBox } from "../ports/secret-box.ts";
import { draftSecret, sealHeaders } from "./registrar.ts";

export type EndpointAdministrationOptions = {
  readonly store: EndpointStore & Pick<AccountStore, "setDefaultSecret">;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  /** The endpoint may owe something that is due now. */
  readonly wake: () => void;
};

/** Changes to endpoints by their owner. Secrets are sealed here, so that the store never sees one. */
export class EndpointAdministration implements EndpointAdministrationPort {
  readonly #options: EndpointAdministrationOptions;

  constructor(options: EndpointAdministrationOptions) {
    this.#options = options;
  }

  async patch(account: Account, endpointId: string, change: EndpointChange): Promise<EndpointView | null> {
    const { store, secretBox, clock, wake } = this.#options;
    const { headers, ...rest } = change;
    const sealed =
      headers === undefined ? {} : { headers: Object.keys(headers).length === 0 ? null : sealHeaders(secretBox, endpointId, headers) };
    const view = await store.patchEndpoint({ accountId: account.id, endpointId, patch: { ...rest, ...sealed }, nowMs: clock.nowMs() });
    wake();
    return view;
  }

  async rotateSecret(
    account: Account,
    endpointId: string,
    request: { readonly graceSeconds: number; readonly signingSecret: string | null },
  ): Promise<{ readonly signingSecret: string; readonly previousValidUntilMs: number } | null> {
    const { store, secretBox, clock } = this.#options;
    const nowMs = clock.nowMs();
    const signingSecret = request.signingSecret ?? generateSecret();
    const previousValidUntilMs = nowMs + request.graceSeconds * 1000;
    const secret = draftSecret(secretBox, signingSecret, nowMs);
    const known = await store.rotateSecret({ accountId: account.id, endpointId, secret, previousValidUntilMs, nowMs });
    return known ? { signingSecret, previousValidUntilMs } : null;
  }

  async setDefaultSecret(account: Account, signingSecret: string): Promise<void> {
    const { store, secretBox, clock } = this.#options;
    const nowMs = clock.nowMs();
    await store.setDefaultSecret({ accountId: account.id, secret: draftSecret(secretBox, signingSecret, nowMs), nowMs });
  }
}

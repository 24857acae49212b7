import { keysInUse } from "../../domain/ids.ts";
import { generateSecret } from "../../domain/webhooks/signature.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { SecretDraft } from "../../ports/stores/registration-store.ts";
import { draftSecret } from "./sealed-drafts.ts";

/** Sealed secret with what it depends on. */
type SealedSecret = {
  readonly text: string;
  readonly draft: SecretDraft;
  readonly sealingKeyId: string;
  readonly keys: ReturnType<typeof keysInUse>;
};
/**
 * Signing secret that was generated for an endpoint. `text` is shown once, if the endpoint is created with it. Drafts of one
 * request that name the same endpoint share it: `drafts` is their number, `unused` that of those which are known to have left it.
 */
export type GeneratedSecret = Pick<SealedSecret, "text" | "draft"> & { readonly sealed: SealedSecret; drafts: number; unused: number };

/** At most 1 MB, and more than the registrations that are under way at the same time. */
const maxSpares = 1024;

/**
 * Generated secrets that no endpoint got. Every registration needs one in case that its endpoint is new, but most endpoints
 * exist, and to draw and seal a secret costs an eighth of a registration.
 *
 * A secret is handed out again only after `keep` for each of its drafts, and one caller has it at a time. The pool is in memory:
 * after a crash the spares are lost, and no row names them.
 */
export class SpareSecrets {
  readonly #secretBox: SecretBox;
  readonly #spares: SealedSecret[] = [];

  constructor(secretBox: SecretBox) {
    this.#secretBox = secretBox;
  }

  /** Returns a secret that no other caller has and no row holds. */
  take(nowMs: number): GeneratedSecret {
    const { sealingKeyId } = this.#secretBox;
    const keys = keysInUse();
    for (let sealed = this.#spares.pop(); sealed !== undefined; sealed = this.#spares.pop())
      // A key that the operator replaced must not return with a new row, and an id of a former slot may exist elsewhere.
      if (sealed.sealingKeyId === sealingKeyId && sealed.keys === keys) return handOut(sealed);
    const text = generateSecret();
    return handOut({ text, draft: draftSecret(this.#secretBox, text, nowMs), sealingKeyId, keys });
  }

  /**
   * Takes a secret back, once all of its drafts have left it. To be called once for a draft, and only if it is certain that no row
   * and no answer of the draft holds the secret.
   */
  keep(secret: GeneratedSecret): void {
    secret.unused += 1;
    if (secret.unused !== secret.drafts) return;
    if (this.#spares.length < maxSpares) this.#spares.push(secret.sealed);
  }
}

function handOut(sealed: SealedSecret): GeneratedSecret {
  return { text: sealed.text, draft: sealed.draft, sealed, drafts: 1, unused: 0 };
}

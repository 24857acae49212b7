import { newId } from "../../domain/ids.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { EndpointDraft, SecretDraft } from "../../ports/stores/registration-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";

/** Seals the custom headers of an endpoint. Their names are sorted and in lower case, so that equal headers have equal fingerprints. */
export function sealHeaders(
  secretBox: SecretBox,
  endpointId: string,
  headers: Readonly<Record<string, string>>,
): NonNullable<EndpointDraft["headers"]> {
  const sorted = Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const plaintext = JSON.stringify(Object.fromEntries(sorted));
  return {
    names: sorted.map(([name]) => name),
    sealed: secretBox.seal(plaintext, associatedData("headers", endpointId)),
    fingerprints: secretBox.fingerprints(plaintext),
  };
}

/** Drafts a signing secret with an id of its own, so that one row can serve many endpoints. */
export function draftSecret(secretBox: SecretBox, secret: string, nowMs: number): SecretDraft {
  const id = newId("sec", nowMs);
  return { id, sealed: secretBox.seal(secret, associatedData("secret", id)), fingerprints: secretBox.fingerprints(secret) };
}

import type { Html } from "../dashboard-env.ts";
import { textField } from "./controls.ts";

/** Renders the field for a client's own signing secret. What is typed is never shown again. */
export function signingSecretField(faults: readonly string[], isForNewEndpoint = false): Html {
  return textField({
    name: "signing_secret",
    label: "Your own signing secret, or empty for a new one",
    hint: `whsec_ and base64 of 24 to 64 bytes.${isForNewEndpoint ? " For a new endpoint." : ""}`,
    type: "password",
    maxLength: 120,
    faults,
  });
}

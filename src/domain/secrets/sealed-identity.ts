/** Kind of a sealed value: an account's ed25519 key, a signing secret, an endpoint's custom headers, an upstream credential, the key that hashes API keys, an answer stored for an idempotency key, the watch of a call that is being placed. */
export type SealedColumn = "signing_key" | "secret" | "headers" | "credential" | "hash_key" | "answer" | "placing";

/** Returns the associated data of a sealed value. It contains the id of the row, so that a copy in another row or column does not open. */
export function associatedData(place: SealedColumn, id: string): string {
  switch (place) {
    case "signing_key":
      return `${id}:ed25519`;
    case "secret":
      return id;
    case "headers":
      return `${id}:headers`;
    case "credential":
      return `${id}:credential`;
    case "hash_key":
      return `${id}:hash-key`;
    case "answer":
      return `${id}:answer`;
    case "placing":
      return `${id}:placing`;
  }
}

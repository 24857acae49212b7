/** Where sealed values lie: an account's ed25519 key, a signing secret, an endpoint's custom headers, an upstream credential, the key that API keys are hashed with, an answer stored under an idempotency key. */
export type SealedColumn = "signing_key" | "secret" | "headers" | "credential" | "hash_key" | "answer";

/** What a value is sealed as: made of the id of its row, so that one copied to another row or place does not open. */
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
  }
}

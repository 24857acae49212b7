/** Returns the stack of a thrown value, for logs of bugs; its text if it has none. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Returns the message of a thrown value, for logs of expected failures. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

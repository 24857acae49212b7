/** Returns the stack of a thrown value, for logs of bugs. A value without a stack is returned as text. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Returns the message of a thrown value; of an `AggregateError` (a host with several addresses), the message of its last error. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors.at(-1));
  return error instanceof Error ? error.message : String(error);
}

/**
 * Replaces half surrogate pairs and NUL, which no text column can hold. Otherwise a stored status would differ from that of
 * the next poll.
 */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll("\u0000", "\ufffd");
}

/** Parses JSON; `undefined` if the text is none. RFC 8259 section 8.1 lets a parser ignore a byte order mark. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(withoutMark(text));
  } catch {
    return undefined;
  }
}

/** Drops a byte order mark. */
export function withoutMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

/** A parsed JSON Pointer (RFC 6901): its reference tokens, unescaped. */
export type Pointer = readonly string[];

const syntax = /^(?:\/(?:[^~/]|~[01])*)*$/;
/** An index of a list (section 4): no leading zero. */
const index = /^(?:0|[1-9]\d*)$/;

/** Parses a pointer; `null` if the text is none. */
export function parsePointer(text: string): Pointer | null {
  if (!syntax.test(text)) return null;
  // "~1" is unescaped before "~0", so that "~01" becomes "~1" (section 4).
  return text
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Writes a pointer as text. */
export function pointerText(pointer: readonly (string | number | symbol)[]): string {
  return pointer.map((token) => `/${String(token).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** Returns the value at a pointer; `undefined` if there is none. Reads own members alone. */
export function valueAt(document: unknown, pointer: Pointer): unknown {
  let value = document;
  for (const token of pointer) {
    if (typeof value !== "object" || value === null) return undefined;
    if (Array.isArray(value) ? !index.test(token) : !Object.hasOwn(value, token)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[token];
  }
  return value;
}

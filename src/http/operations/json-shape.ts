const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Deepest nesting. A template, which is a member of a member, may be nested 100 deep. */
const maxDepth = 128;

/**
 * Returns why bytes of JSON are refused for their structure: they are nested deeper than `maxDepth`, or have more members and
 * items than `maxValues`; `null` if they may be parsed. Runs ahead of `JSON.parse`, which takes up to half a second for a mebibyte of
 * brackets, and ahead of recursion, which would exceed the stack. Does not check the syntax. In UTF-8 no byte of another
 * character has the value of one that counts here.
 */
export function shapeFault(bytes: Uint8Array, maxValues: number): string | null {
  let depth = 0;
  let separators = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) at = endOfString(bytes, at + 1);
    else if (byte === comma) {
      separators += 1;
      if (separators >= maxValues) return `must have at most ${maxValues} members and items in all`;
    } else if (byte === openList || byte === openObject) {
      depth += 1;
      if (depth > maxDepth) return `must be nested at most ${maxDepth} deep`;
    } else if (byte === closeList || byte === closeObject) depth -= 1;
  }
  return null;
}

/** Returns the place of the quote that ends a string, or behind the bytes if none does. */
function endOfString(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
  return at;
}

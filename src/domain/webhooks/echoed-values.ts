const shown = "[header value]";
/** Shorter values are no secrets, and would hide parts of words. */
const leastLength = 8;

/**
 * Replaces the values of an endpoint's own headers in a text of its receiver, which may repeat the request. Every word of a value is
 * replaced too (the token behind `Bearer`), as it is, as JSON writes it and as a URL writes it. The end of the text may hold the
 * beginning of a value, because the text may be cut.
 */
export function hideEchoes(text: string, values: readonly string[]): string {
  if (text === "") return text;
  let hidden = text;
  for (const spelling of spellingsOf(values)) {
    hidden = hidden.replaceAll(spelling, shown);
    const at = hidden.lastIndexOf(spelling.slice(0, leastLength));
    if (at !== -1 && spelling.startsWith(hidden.slice(at))) hidden = `${hidden.slice(0, at)}${shown}`;
  }
  return hidden;
}

/** Longer spellings come first, because a value contains its words. */
function spellingsOf(values: readonly string[]): readonly string[] {
  const words = values.flatMap((value) => [value, ...value.split(/[ ,;="]+/)]);
  const spellings = words
    .filter(({ length }) => length >= leastLength)
    .flatMap((word) => [word, JSON.stringify(word).slice(1, -1), encodeURIComponent(word)]);
  return [...new Set(spellings)].toSorted((a, b) => b.length - a.length);
}

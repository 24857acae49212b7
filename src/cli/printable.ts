/** Control characters, line ends of Unicode, characters that change the direction of text, and halves of characters. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}]/gu;

/**
 * Escapes what a stranger may have put into a text that is printed, as JSON would: no text makes a line of its own, moves the
 * cursor or shows another order than it has.
 */
export function printable(text: string): string {
  return text.replace(unprintable, escaped);
}

/** Writes a value as JSON in one line. JSON itself leaves some of these characters as they are; all of them are inside of texts. */
export function printableJson(value: unknown): string {
  return printable(JSON.stringify(value));
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
}

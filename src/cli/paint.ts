import { styleText } from "node:util";

/** Style of a part of a line. */
export type Style = "dim" | "green" | "red" | "yellow";

/** Puts a style on a text that holds no control characters. */
export type Paint = (style: Style, text: string) => string;

export const plain: Paint = (_style, text) => text;
export const colored: Paint = (style, text) => styleText(style, text, { validateStream: false });

/** Whether output is coloured: on a terminal that can, unless `NO_COLOR` is set to anything (no-color.org). */
export function isColored({
  isTerminal,
  noColor,
  term,
}: {
  readonly isTerminal: boolean;
  readonly noColor: string | null;
  readonly term: string | null;
}): boolean {
  return isTerminal && noColor === null && term !== "dumb";
}

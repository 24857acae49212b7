import { globSync, readFileSync } from "node:fs";
import { Marked } from "marked";

export const root = new URL("../..", import.meta.url).pathname;
/** Documents of the repository by their path. */
export const documents: readonly string[] = globSync(["*.md", ".github/*.md", "src/**/*.md"], {
  cwd: root,
  exclude: ["**/node_modules/**"],
}).toSorted();

export const readDocument = (path: string): string => readFileSync(root + path, "utf8");

/** Code of a document, block by block, in one language. */
export function blocksOf(path: string, language: string): readonly string[] {
  const blocks: string[] = [];
  const marked = new Marked({
    walkTokens: (token) => void (token.type === "code" && token["lang"] === language && blocks.push(token["text"])),
  });
  marked.parse(readDocument(path), { async: false });
  return blocks;
}

/** Splits a block of shell into commands. A command ends at a line end outside quotes that no backslash continues. Comments are dropped. */
export function commandsOf(block: string): readonly string[] {
  const commands: string[] = [];
  let command = "";
  for (const line of block.split("\n")) {
    command += command === "" ? line : `\n${line}`;
    if (command.endsWith("\\") || isQuoteOpen(command)) continue;
    const text = command.trim();
    if (text !== "" && !text.startsWith("#")) commands.push(text);
    command = "";
  }
  return commands;
}

function isQuoteOpen(text: string): boolean {
  let quote = "";
  for (const character of text.replaceAll(/\\./gs, "")) {
    if (quote === "" && character === "#") return false;
    if (quote === "" && (character === "'" || character === '"')) quote = character;
    else if (character === quote) quote = "";
  }
  return quote !== "";
}

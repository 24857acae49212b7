import { readFileSync } from "node:fs";
import { Marked } from "marked";

/** A receiver of the guide, as a reader would copy and start it. */
export type GuideProgram = { readonly language: string; readonly file: string; readonly source: string; readonly command: string };

const guide = new URL("../../src/http/docs/guides/receivers.md", import.meta.url);

/** What each program needs, and the Debian package that has it. */
export const toolsOf: Readonly<Record<string, readonly { readonly tool: string; readonly package: string }[]>> = {
  JavaScript: [{ tool: "node", package: "nodejs" }],
  TypeScript: [{ tool: "node", package: "nodejs" }],
  Python: [{ tool: "python3", package: "python3" }],
  PHP: [{ tool: "php", package: "php-cli" }],
  Ruby: [{ tool: "ruby", package: "ruby" }],
  Go: [{ tool: "go", package: "golang-go" }],
  "C#": [
    { tool: "mcs", package: "mono-mcs" },
    { tool: "mono", package: "mono-runtime" },
  ],
  Java: [{ tool: "java", package: "default-jdk-headless" }],
};

/** Takes the first program of each language from the guide. Its first line is the command that starts it. */
export function guidePrograms(): readonly GuideProgram[] {
  const programs: GuideProgram[] = [];
  let language = "";
  for (const token of new Marked().lexer(readFileSync(guide, "utf8"))) {
    if (token.type === "heading" && token["depth"] === 2) language = token["text"];
    if (token.type !== "code" || !(language in toolsOf) || programs.some((program) => program.language === language)) continue;
    const source: string = token["text"];
    const command = (source.split("\n", 1)[0] ?? "")
      .replace(/^(?:<\?php )?(?:\/\/|#) /, "")
      .replace("npm install standardwebhooks && ", "");
    programs.push({ language, source, command, file: /\b[Rr]eceiver\.\w+/.exec(command)?.[0] ?? "" });
  }
  return programs;
}

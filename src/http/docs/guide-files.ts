import { readFileSync, readdirSync } from "node:fs";
import { Marked } from "marked";

/** Part of a guide under one heading, without the parts under deeper headings. */
export type GuideSection = {
  readonly title: string;
  /** Id of the heading, as code hosts make it. */
  readonly id: string;
  readonly depth: number;
  /** Text of the section in Markdown. */
  readonly text: string;
};

/** Names of the guides by reader, in the order in which they are listed. */
const groups = [
  {
    title: "For integrators",
    names: [
      "first-webhook",
      "registration",
      "placing",
      "receivers",
      "webhooks",
      "statuses",
      "failures",
      "feed",
      "no-code",
      "workflow-engines",
      "templates",
      "assistants",
      "api",
      "errors",
      "guarantees",
      "conformance",
      "simulator",
    ],
  },
  {
    title: "For operators",
    names: [
      "operators",
      "runbooks",
      "sources",
      "configuration",
      "command-line",
      "monitoring",
      "dashboard",
      "several-instances",
      "security",
    ],
  },
];

const folder = new URL("guides/", import.meta.url);

/** Names of all guides. */
export const guideNames: readonly string[] = readdirSync(folder)
  .filter((file) => file.endsWith(".md"))
  .map((file) => file.slice(0, -3))
  .toSorted();

/** Returns the guides by reader, each with its title. A guide that no group names is in the last group. */
export function groupedGuides() {
  const grouped = new Set(groups.flatMap(({ names }) => names));
  const rest = guideNames.filter((name) => !grouped.has(name));
  return groups.map(({ title, names }, index) => ({
    title,
    guides: [...names, ...(index === groups.length - 1 ? rest : [])]
      .filter((name) => guideNames.includes(name))
      .map((name) => ({ name, title: titleOf(readGuide(name)) })),
  }));
}

/** Returns the Markdown of a guide. */
export function readGuide(name: string): string {
  return readFileSync(new URL(`${name}.md`, folder), "utf8");
}

/** Returns the text of the first heading. */
export function titleOf(markdown: string): string {
  return /^# (.+)$/m.exec(markdown)?.[1] ?? "Guide";
}

/** Splits a guide at its headings. */
export function sectionsOf(markdown: string): readonly GuideSection[] {
  const nextId = headingIds();
  const sections: { title: string; id: string; depth: number; text: string }[] = [];
  for (const token of new Marked({ gfm: true }).lexer(markdown)) {
    if (token.type === "heading")
      sections.push({ title: plain(token["text"]), id: nextId(token["text"]), depth: token["depth"], text: "" });
    else if (sections.length > 0) (sections.at(-1) as { text: string }).text += token.raw;
  }
  return sections;
}

/** Returns a function that gives each heading of one page its id. The second of two equal headings gets a number. */
export function headingIds(): (heading: string) => string {
  const seen = new Map<string, number>();
  return (heading) => {
    const slug = slugOf(heading);
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  };
}

/** Returns the id that code hosts give a heading. */
export function slugOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");
}

/** Drops the marks of Markdown and the targets of links. */
export function plain(markdown: string): string {
  return markdown
    .replaceAll(/\]\([^)\s]*\)/g, "")
    .replaceAll(/[`*[\]|]|^#+ |^[-:| ]+$/gm, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}

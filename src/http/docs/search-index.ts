import type { openApiDocument } from "../operations/openapi.ts";
import { groupedGuides, plain, readGuide, sectionsOf } from "./guide-files.ts";

/** Entry of the search: a section of a guide, an operation or a webhook. */
export type SearchEntry = {
  readonly title: string;
  /** Guide or part of the reference that has it. */
  readonly place: string;
  readonly path: string;
  readonly text: string;
};

type Described = {
  readonly tags?: readonly string[];
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
};
type Items = Readonly<Record<string, Readonly<Record<string, Described>>>>;

/** Builds the index of all guides and of the OpenAPI document. */
export function buildSearchIndex(document: ReturnType<typeof openApiDocument>): readonly SearchEntry[] {
  return [...guideEntries(), ...operationEntries((document.paths ?? {}) as Items), ...webhookEntries((document.webhooks ?? {}) as Items)];
}

function guideEntries(): readonly SearchEntry[] {
  return groupedGuides()
    .flatMap(({ guides }) => guides)
    .flatMap(({ name, title }) =>
      sectionsOf(readGuide(name)).map((section) => ({
        title: section.title,
        place: `Guide: ${title}`,
        path: `/docs/guides/${name}${section.depth === 1 ? "" : `#${section.id}`}`,
        text: plain(section.text),
      })),
    );
}

function operationEntries(paths: Items): readonly SearchEntry[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { tags = [], operationId = "", summary = "", description = "" }]) => ({
      title: `${method.toUpperCase()} ${path}`,
      place: `Reference: ${summary}`,
      path: `/docs#/${tags[0] ?? "default"}/${operationId}`,
      text: plain(description),
    })),
  );
}

function webhookEntries(webhooks: Items): readonly SearchEntry[] {
  return Object.entries(webhooks).map(([type, item]) => ({
    title: type,
    place: "Reference: webhook",
    path: "/docs",
    text: plain(Object.values(item)[0]?.description ?? ""),
  }));
}

import type { RingbackEvent } from "./event.ts";

/** Most terms of a condition, texts of a term, and characters of a text. */
export const maxWhereTerms = 8;
export const maxWhereTexts = 32;
export const maxWhereCharacters = 256;

/** Fields of an event that a condition may name, beside `metadata.<key>`. */
export const whereFields = ["source", "status", "reason"] as const;

/**
 * One term of a hook's `where`. `is`, `prefix` and `not` have one text. A plain object without a union of shapes, because
 * filters pass between threads.
 */
export type WhereTerm = {
  /** One of `whereFields`, or `metadata.` and a key. */
  readonly field: string;
  readonly test: "is" | "in" | "prefix" | "not";
  readonly texts: readonly string[];
};

/** A term's test as the API spells it. */
export type WhereTest = string | { readonly in: string[] } | { readonly prefix: string } | { readonly not: string };

type TestedData = Extract<RingbackEvent["data"], { readonly watchId: unknown }>;

const metadataPrefix = "metadata.";

/** Returns the key of a field `metadata.<key>`; `null` for another field. */
export function metadataKeyOf(field: string): string | null {
  return field.startsWith(metadataPrefix) ? field.slice(metadataPrefix.length) : null;
}

/** Whether every term holds for an event of a watch. A value that is absent or null is the empty text. */
export function whereHolds(terms: readonly WhereTerm[], data: TestedData): boolean {
  return terms.every(({ field, test, texts }) => {
    const value = valueOf(field, data);
    const [first = ""] = texts;
    switch (test) {
      case "is":
      case "in":
        return texts.includes(value);
      case "prefix":
        return value.startsWith(first);
      case "not":
        return value !== first;
    }
  });
}

function valueOf(field: string, data: TestedData): string {
  const key = metadataKeyOf(field);
  if (key !== null) return Object.hasOwn(data.metadata, key) ? (data.metadata[key] ?? "") : "";
  return data[field as (typeof whereFields)[number]] ?? "";
}

/** Whether two conditions have the same terms. The order of terms, and order and repetition of the texts of a list, do not count. */
export function sameWhere(a: readonly WhereTerm[], b: readonly WhereTerm[]): boolean {
  return canonical(a) === canonical(b);
}

function canonical(terms: readonly WhereTerm[]): string {
  return JSON.stringify(terms.map(({ field, test, texts }) => JSON.stringify([field, test, [...new Set(texts)].toSorted()])).toSorted());
}

/** Reads the condition of the API. Each field is one term. */
export function whereFromJson(where: Readonly<Record<string, WhereTest>>): readonly WhereTerm[] {
  return Object.entries(where).map(([field, test]): WhereTerm => {
    if (typeof test === "string") return { field, test: "is", texts: [test] };
    if ("in" in test) return { field, test: "in", texts: test.in };
    return "prefix" in test ? { field, test: "prefix", texts: [test.prefix] } : { field, test: "not", texts: [test.not] };
  });
}

/** Returns the condition as the API shows it; `null` without terms. */
export function whereToJson(terms: readonly WhereTerm[]): Record<string, WhereTest> | null {
  if (terms.length === 0) return null;
  return Object.fromEntries(terms.map((term): [string, WhereTest] => [term.field, testToJson(term)]));
}

function testToJson({ test, texts }: WhereTerm): WhereTest {
  const [first = ""] = texts;
  switch (test) {
    case "is":
      return first;
    case "in":
      return { in: [...texts] };
    case "prefix":
      return { prefix: first };
    case "not":
      return { not: first };
  }
}

/** Returns the text of a condition for a page. */
export function describeWhere(where: Readonly<Record<string, WhereTest>>): string {
  return whereFromJson(where)
    .map(({ field, test, texts }) => `${field} ${verbs[test]} ${texts.map((text) => JSON.stringify(text)).join(", ")}`)
    .join(" and ");
}

const verbs = { is: "is", in: "is one of", prefix: "begins with", not: "is not" } as const;

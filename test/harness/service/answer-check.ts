import { z } from "zod";
import { saysWhenToRetry } from "../../../src/http/schemas/problem-catalogue.ts";
import type { ProblemSlug } from "../../../src/http/schemas/problem-catalogue.ts";

export type Json = { readonly [key: string]: Json } & { readonly type?: unknown };
type Media = { readonly schema: Json; readonly example?: unknown; readonly examples?: Readonly<Record<string, { readonly $ref: string }>> };
export type DocumentedAnswer = {
  readonly description: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, Media>>;
};
export type DocumentedOperation = { readonly operationId: string; readonly responses: Readonly<Record<string, DocumentedAnswer>> };
export type OpenApiDocument = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
  readonly webhooks: Readonly<Record<string, unknown>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Json>>;
    readonly examples: Readonly<Record<string, { readonly value: Json }>>;
  };
};

/** An answer as a client gets it. Header names are in lower case. */
export type SeenAnswer = {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
};

/** Compares answers with what clients may rely on of every answer, and with the OpenAPI document. */
export class AnswerCheck {
  readonly document: OpenApiDocument;
  readonly #schemas = new Map<string, z.ZodType>();
  readonly #definitions: unknown;
  readonly #templates: readonly { readonly path: string; readonly pattern: RegExp }[];

  constructor(document: unknown) {
    this.document = JSON.parse(JSON.stringify(document)) as OpenApiDocument;
    this.#definitions = closed(this.document.components.schemas);
    // What is written out is meant before what a parameter would take.
    this.#templates = Object.keys(this.document.paths)
      .toSorted((a, b) => a.split("{").length - b.split("{").length)
      .map((path) => ({ path, pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+").replaceAll(".", "\\.")}$`) }));
  }

  /** Returns the faults of an answer; none if it is right. */
  faultsOf(answer: SeenAnswer): readonly string[] {
    const { method, status, headers } = answer;
    const faults = [...this.#generalFaults(answer)];
    const operation = this.#operationOf(answer);
    const documented = operation?.responses[status];
    if (operation === undefined) return faults;
    const where = `${method} ${operation.operationId} ${status}`;
    if (documented === undefined) return [...faults, `${where} is not documented`];
    const isHead = method === "HEAD" || answer.text === "";
    const mediaType = String(headers["content-type"] ?? "").split(";", 1)[0] ?? "";
    const media = documented.content?.[mediaType];
    if (documented.content === undefined) {
      if (answer.text !== "") faults.push(`${where} has a body that is not documented`);
    } else if (media === undefined) faults.push(`${where} is ${mediaType}, which is not documented`);
    else if (!isHead) faults.push(...this.#bodyFaults(where, media, mediaType, answer.text));
    return faults;
  }

  /** Faults of a value that claims to be an example of a documented answer. */
  exampleFaults(path: string, method: string, status: string): readonly string[] {
    const answer = this.document.paths[path]?.[method]?.responses[status];
    return Object.entries(answer?.content ?? {}).flatMap(([mediaType, media]) => {
      const where = `${method} ${path} ${status}`;
      if (mediaType === "text/html") return media.example === undefined ? [`${where} has no example`] : [];
      const values =
        media.examples === undefined
          ? [media.example]
          : Object.values(media.examples).map(({ $ref }) => this.document.components.examples[$ref.split("/").at(-1) ?? ""]?.value);
      if (values.length === 0) return [`${where} has no example`];
      return values.flatMap((value) =>
        value === undefined ? [`${where} has no example`] : this.#bodyFaults(where, media, mediaType, JSON.stringify(value)),
      );
    });
  }

  schemaNamed(name: string): z.ZodType {
    return this.#schemaOf({ $ref: `#/components/schemas/${name}` } as unknown as Json);
  }

  *#generalFaults({ method, target, status, headers, text }: SeenAnswer): Iterable<string> {
    const id = headers["x-request-id"];
    if (typeof id !== "string" || id === "") yield `${status} has no x-request-id`;
    if (method === "HEAD" && text !== "") yield "an answer to HEAD has a body";
    for (const name of Object.keys(headers)) if (name.startsWith("access-control-")) yield `${name} lets other origins in`;
    if (status < 400) return;
    // Errors of JSON-RPC are documented beside the problems.
    if (target === "/mcp" && headers["content-type"] === "application/json") return;
    const isForPeople = /^\/(?:dashboard|portal)(?:\/|$)/.test(new URL(target, "http://localhost").pathname);
    const mediaType = isForPeople ? "text/html; charset=UTF-8" : "application/problem+json";
    if (headers["content-type"] !== mediaType) yield `${status} is ${String(headers["content-type"])}`;
    if (status === 405 && headers["allow"] === undefined) yield "405 without allow";
    if (status === 401 && headers["www-authenticate"] === undefined) yield "401 without www-authenticate";
    if (method === "HEAD" || isForPeople) return;
    const problem = JSON.parse(text) as { status: number; request_id: string; type: string; errors?: readonly unknown[] };
    const { error } = this.schemaNamed("Problem").safeParse(problem);
    if (error !== undefined) yield `${status} is no problem: ${z.prettifyError(error)}`;
    if (problem.status !== status) yield `${status} says that it is ${problem.status}`;
    // What is sent again is the first answer, byte for byte.
    if (headers["idempotency-replayed"] === undefined && problem.request_id !== id) yield `${status} names another request`;
    if ((problem.errors?.length ?? 0) > 100) yield "more than 100 errors";
    const slug = /^urn:ringback:problem:([a-z-]+)$/.exec(problem.type)?.[1] as ProblemSlug | undefined;
    if (slug === undefined) yield `the type ${problem.type}`;
    else if (saysWhenToRetry(slug) !== (headers["retry-after"] !== undefined))
      yield `${slug} and retry-after ${String(headers["retry-after"])}`;
  }

  #bodyFaults(where: string, media: Media, mediaType: string, text: string): readonly string[] {
    if (mediaType === "text/html") return [];
    const body = JSON.parse(text) as Json;
    const faults: string[] = [];
    const { error } = this.#schemaOf(media.schema).safeParse(body);
    if (error !== undefined) faults.push(`${where}: ${z.prettifyError(error)}`);
    const slug = String(body.type).split(":").at(-1) ?? "";
    if (media.examples !== undefined && !(slug in media.examples)) faults.push(`${where} does not document ${slug}`);
    return faults;
  }

  #operationOf({ method, target }: SeenAnswer): DocumentedOperation | undefined {
    const path = target.split("?", 1)[0] ?? "";
    const template = this.#templates.find(({ pattern }) => pattern.test(path))?.path ?? "";
    return this.document.paths[template]?.[method === "HEAD" ? "get" : method.toLowerCase()];
  }

  /** Most answers share a few schemas, and making one takes some milliseconds. */
  #schemaOf(schema: Json): z.ZodType {
    const text = JSON.stringify(schema);
    const known = this.#schemas.get(text);
    if (known !== undefined) return known;
    const made = z.fromJSONSchema({ ...(closed(schema) as object), $defs: this.#definitions } as Parameters<typeof z.fromJSONSchema>[0]);
    this.#schemas.set(text, made);
    return made;
  }
}

/** Objects with named properties have those and no others: what is answered is documented, to the last key. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema)
    .filter(([key]) => key !== "example")
    .map(([key, value]) => [key, key === "$ref" ? String(value).replace("#/components/schemas/", "#/$defs/") : closed(value)]);
  const result = Object.fromEntries(entries) as Record<string, unknown>;
  return "properties" in result ? { additionalProperties: false, ...result } : result;
}

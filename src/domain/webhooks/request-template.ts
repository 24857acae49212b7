import type { CallDetail } from "../calls/call-details.ts";
import { endpointTestEvent, noSubject } from "../events/event.ts";
import type { RingbackEvent } from "../events/event.ts";
import { standardPayload } from "../events/payload.ts";
import { bodyKindOf } from "./media-type.ts";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export const templateMethods = ["POST", "PUT", "PATCH"] as const;
export type TemplateMethod = (typeof templateMethods)[number];

/** Request that an endpoint is sent, with placeholders in the strings of its body. Written as the API shows it. */
export type RequestTemplate = { readonly method: TemplateMethod; readonly content_type: string; readonly body: JsonValue };

/** One fault; `path` leads into the template. */
export type TemplateFault = { readonly path: readonly (string | number)[]; readonly detail: string };

export const defaultContentType = "application/json";
export const templateMaxBytes = 8192;
export const maxPlaceholders = 32;
/** Largest depth of a body, so that recursion over it is safe. */
const templateMaxDepth = 100;

/** A piece of a string: text, or the path of a placeholder. */
type Piece = { readonly text: string } | { readonly path: readonly string[] };

const placeholderAt = /\{\{([^\s{}]*)\}\}/y;
const memberName = /^[A-Za-z0-9_]{1,40}$/;
const facts = factPaths();

/** Returns every path of the standard body to a single value, except those of metadata and details. */
function factPaths(): ReadonlySet<string> {
  const test = endpointTestEvent("", "", 0);
  const data = { ...noSubject, state: null, reason: null, observedAtMs: 0 };
  const operational: RingbackEvent = { id: "", accountId: "", timestampMs: 0, type: "source.resumed", data };
  const keys = [test, operational].flatMap((event) => Object.keys(standardPayload(event).data));
  const single = keys.filter((key) => !["metadata", "details", "hook_ids"].includes(key));
  return new Set(["type", "timestamp", ...single.map((key) => `data.${key}`)]);
}

/** Whether an event may have a single value at a path. */
function isPath(path: string): boolean {
  const member = /^data\.(?:metadata|details)\.(.*)$/.exec(path);
  return member === null ? facts.has(path) : memberName.test(member[1] ?? "");
}

/** Splits a string into text and placeholders. Returns what is wrong with it instead if `{{` begins no placeholder. */
function parsePieces(text: string): { readonly pieces: readonly Piece[] } | { readonly fault: string } {
  const pieces: Piece[] = [];
  let at = 0;
  for (let start = text.indexOf("{{"); start !== -1; start = text.indexOf("{{", at)) {
    placeholderAt.lastIndex = start;
    const found = placeholderAt.exec(text);
    if (found === null) return { fault: "has {{ that begins no placeholder; one is a path without blanks, as in {{data.status}}" };
    const [whole, path = ""] = found;
    if (!isPath(path)) return { fault: `has the placeholder ${whole}, which is not the path of a single value of an event` };
    if (start > at) pieces.push({ text: text.slice(at, start) });
    pieces.push({ path: path.split(".") });
    at = start + whole.length;
  }
  if (at < text.length) pieces.push({ text: text.slice(at) });
  return { pieces };
}

/** Returns the faults of a template whose method is known; empty if there are none. */
export function findTemplateFaults({
  content_type: contentType,
  body,
}: Pick<RequestTemplate, "content_type" | "body">): readonly TemplateFault[] {
  const kind = bodyKindOf(contentType);
  if (kind === null)
    return [{ path: ["content_type"], detail: "must be a media type of JSON or text in UTF-8, of at most 100 characters" }];
  if (kind === "text" && typeof body !== "string")
    return [{ path: ["body"], detail: `must be one string, because ${contentType} is text` }];
  if (isTooDeep(body)) return [{ path: ["body"], detail: `must be nested at most ${templateMaxDepth} deep` }];
  if (Buffer.byteLength(JSON.stringify(body)) > templateMaxBytes)
    return [{ path: ["body"], detail: `must be at most ${templateMaxBytes} bytes of JSON` }];
  return leafFaults(body);
}

/** Returns whether the body is nested too deeply. It uses no recursion, because the depth may be large. */
function isTooDeep(body: JsonValue): boolean {
  const open: (readonly [value: JsonValue, depth: number])[] = [[body, 1]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, depth] = next;
    if (typeof value !== "object" || value === null) continue;
    if (depth > templateMaxDepth) return true;
    for (const member of Object.values(value)) open.push([member, depth + 1]);
  }
  return false;
}

function leafFaults(body: JsonValue): readonly TemplateFault[] {
  const faults: TemplateFault[] = [];
  let placeholders = 0;
  const visit = (value: JsonValue, path: readonly (string | number)[]): void => {
    if (typeof value === "string") {
      const parsed = parsePieces(value);
      if ("fault" in parsed) faults.push({ path, detail: parsed.fault });
      else placeholders += parsed.pieces.filter((piece) => "path" in piece).length;
    } else if (typeof value === "number") {
      if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
        faults.push({ path, detail: "is a number that loses digits; write it as a string" });
    } else if (Array.isArray(value)) value.forEach((item: JsonValue, index) => visit(item, [...path, index]));
    else if (typeof value === "object" && value !== null)
      for (const [key, member] of Object.entries(value)) {
        if (key.includes("{{")) faults.push({ path: [...path, key], detail: "is a key with {{; keys have no placeholders" });
        visit(member, [...path, key]);
      }
  };
  visit(body, ["body"]);
  if (placeholders > maxPlaceholders)
    faults.push({ path: ["body"], detail: `must have at most ${maxPlaceholders} placeholders in all, has ${placeholders}` });
  return faults;
}

/** Notation of a value: JSON, inside a string of JSON, or plain text. */
type Notation = "value" | "inString" | "plain";
type Segment = string | { readonly path: readonly string[]; readonly notation: Notation };

/** A template that is ready to be filled. */
export type CompiledTemplate = {
  readonly method: TemplateMethod;
  readonly contentType: string;
  /** Returns the body for an event. What is filled in is not read again. */
  readonly fill: (event: RingbackEvent) => string;
};

/** Compiles a template without faults: everything that no placeholder changes is written once. */
export function compileTemplate({ method, content_type: contentType, body }: RequestTemplate): CompiledTemplate {
  const segments: Segment[] = [];
  if (bodyKindOf(contentType) === "text" && typeof body === "string") segments.push(...textSegments(body, "plain"));
  else writeJson(body, segments);
  return {
    method,
    contentType,
    fill(event) {
      const payload = standardPayload(event);
      const filled = segments.map((segment) =>
        typeof segment === "string" ? segment : written(valueAt(payload, segment.path), segment.notation),
      );
      // Half of a surrogate pair has no bytes of its own in UTF-8. In JSON it is an escape.
      return filled.join("").toWellFormed();
    },
  };
}

function writeJson(value: JsonValue, segments: Segment[]): void {
  if (typeof value === "string") segments.push(...stringSegments(value));
  else if (Array.isArray(value)) {
    segments.push("[");
    for (const [index, item] of (value as readonly JsonValue[]).entries()) {
      if (index > 0) segments.push(",");
      writeJson(item, segments);
    }
    segments.push("]");
  } else if (typeof value === "object" && value !== null) {
    segments.push("{");
    for (const [index, [key, member]] of Object.entries(value).entries()) {
      segments.push(`${index > 0 ? "," : ""}${JSON.stringify(key)}:`);
      writeJson(member, segments);
    }
    segments.push("}");
  } else segments.push(JSON.stringify(value));
}

/** A string that is one placeholder becomes the value itself, with its type. */
function stringSegments(text: string): readonly Segment[] {
  const [first, ...others] = piecesOf(text);
  if (first !== undefined && "path" in first && others.length === 0) return [{ path: first.path, notation: "value" }];
  return ['"', ...textSegments(text, "inString"), '"'];
}

function textSegments(text: string, notation: Notation): readonly Segment[] {
  return piecesOf(text).map((piece) => ("path" in piece ? { path: piece.path, notation } : written(piece.text, notation)));
}

function piecesOf(text: string): readonly Piece[] {
  const parsed = parsePieces(text);
  if ("fault" in parsed) throw new Error(`a template ${parsed.fault}`);
  return parsed.pieces;
}

function written(value: CallDetail, notation: Notation): string {
  if (notation === "value") return JSON.stringify(value);
  const text = value === null ? "" : String(value);
  return notation === "plain" ? text : JSON.stringify(text).slice(1, -1);
}

/** Returns the single value at a path; `null` where the event has none. */
function valueAt(payload: object, path: readonly string[]): CallDetail {
  let value: unknown = payload;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return null;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return typeof value === "object" ? null : (value as CallDetail);
}

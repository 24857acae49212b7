import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { Env } from "./dependencies.ts";
import { readIncoming } from "../server/body-reader.ts";
import { shapeFault } from "./json-shape.ts";
import { ProblemError, unprocessable } from "./problem.ts";

const maxBodyBytes = 1024 * 1024;
const maxBatchBytes = 4 * 1024 * 1024;
/** A template of 8 KiB or a call of 30 KiB, percent-encoded. */
const maxFormBytes = 128 * 1024;

/** Maximum number of members and items of a body that is no batch. A template of 8 KiB and a call of 30 KiB have fewer. */
export const maxPlainValues = 5000;
/** That of a batch: a hundred for each of its watches. */
const maxBatchValues = 100_000;

/** A body of at most this size is parsed as it arrives. */
const atOnceBytes = 16 * 1024;

/** Kind of a body. `optional`: a missing body is read as `{}`. `batch`: a larger limit applies. */
export type BodyKind = "json" | "batch" | "optional";

/** Reads the bytes as sent. Refuses a body over its limit before it is parsed. */
export async function readBody(c: Context, kind: BodyKind | "form"): Promise<Uint8Array> {
  const maxBytes = kind === "form" ? maxFormBytes : kind === "batch" ? maxBatchBytes : maxBodyBytes;
  if (declaredBytes(c) > maxBytes) throw tooLarge(maxBytes);
  try {
    const bytes = await bytesOf(c, maxBytes);
    if (bytes === null || bytes.length > maxBytes) throw tooLarge(maxBytes);
    return bytes;
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    throw malformed("the body ended before it was complete");
  }
}

/** Returns the bytes of a body, or `null` once they exceed the limit. An app that is called without a server has a whole body. */
async function bytesOf(c: Context, maxBytes: number): Promise<Uint8Array | null> {
  const incoming = (c.env as Partial<HttpBindings> | undefined)?.incoming;
  return incoming === undefined ? new Uint8Array(await c.req.arrayBuffer()) : readIncoming(incoming, maxBytes);
}

/** Resolves in a turn of the event loop that belongs to the account, if parsing and checking the body may take long. */
export async function turnForBody(c: Context<Env>, bytes: Uint8Array): Promise<void> {
  if (bytes.length > atOnceBytes) await c.get("nextTurn")();
}

/** Parses the bytes as JSON. Refuses another content type, text that is not UTF-8, and more structure than any operation takes. */
export function parseJson(c: Context, bytes: Uint8Array, kind: BodyKind): unknown {
  if (bytes.length === 0 && kind === "optional") return {};
  const type = mediaType(c);
  if (bytes.length === 0 && (type === null || type === "application/json")) throw malformed("the body is empty, JSON is needed");
  if (type !== "application/json" || isEncoded(c)) throw new ProblemError({ slug: "unsupported-media-type" });
  refuseStructure(bytes, kind === "batch" ? maxBatchValues : maxPlainValues);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw new ProblemError({ slug: "malformed-json" });
  }
}

function refuseStructure(bytes: Uint8Array, maxValues: number): void {
  const fault = shapeFault(bytes, maxValues);
  if (fault !== null) throw unprocessable([{ pointer: "", detail: fault }]);
}

/** Refuses an oversized body of an operation that does not read its body. */
export function refuseLargeBody(c: Context): void {
  if (declaredBytes(c) > maxBodyBytes) throw tooLarge(maxBodyBytes);
}

function declaredBytes(c: Context): number {
  return Number(c.req.header("content-length") ?? 0);
}

function mediaType(c: Context): string | null {
  return c.req.header("content-type")?.split(";", 1)[0]?.trim().toLowerCase() ?? null;
}

function isEncoded(c: Context): boolean {
  return (c.req.header("content-encoding") ?? "identity").toLowerCase() !== "identity";
}

function malformed(detail: string): ProblemError {
  return new ProblemError({ slug: "malformed-json", detail });
}

function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError({ slug: "payload-too-large", detail: `the request body exceeds ${maxBytes} bytes` });
}

import type { Context } from "hono";
import { ProblemError } from "./problem.ts";

const maxBodyBytes = 1024 * 1024;
const maxBatchBytes = 4 * 1024 * 1024;
/** Of a body too large, read and thrown away: a connection closed over what was not read resets, and takes the answer along. */
const maxDiscardedBytes = 64 * 1024 * 1024;
const maxFormBytes = 16 * 1024;

/** `optional`: no body is the same as `{}`. `batch` may be larger. */
export type BodyKind = "json" | "batch" | "optional";

/** The bytes as sent; more than the limit is refused before anything is made of them. */
export async function readBody(c: Context, kind: BodyKind | "form"): Promise<Uint8Array> {
  const maxBytes = kind === "form" ? maxFormBytes : kind === "batch" ? maxBatchBytes : maxBodyBytes;
  if (declaredBytes(c) > maxBytes) throw tooLarge(maxBytes);
  try {
    // The parser of HTTP lets no body be longer than announced; only one that announces nothing must be counted.
    if (c.req.header("content-length") !== undefined) return new Uint8Array(await c.req.arrayBuffer());
    return await readCounted(c.req.raw.body, maxBytes);
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    throw malformed("the body ended before it was complete");
  }
}

/** The bytes as JSON; refused when they are of another type or not UTF-8. */
export function parseJson(c: Context, bytes: Uint8Array, kind: BodyKind): unknown {
  if (bytes.length === 0 && kind === "optional") return {};
  const type = mediaType(c);
  if (bytes.length === 0 && (type === null || type === "application/json")) throw malformed("the body is empty, JSON is needed");
  if (type !== "application/json" || isEncoded(c))
    throw new ProblemError({
      slug: "unsupported-media-type",
      detail: "send content-type: application/json, without a content-encoding",
    });
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw malformed("the body is not JSON in UTF-8");
  }
}

/** For operations that read no body: one that announces too much is refused all the same. */
export function refuseLargeBody(c: Context): void {
  if (declaredBytes(c) > maxBodyBytes) throw tooLarge(maxBodyBytes);
}

async function readCounted(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  let chunks: Uint8Array[] = [];
  let size = 0;
  // Not iterated: to break off would cancel the stream, and with it the connection that the answer goes out on.
  const reader = body.getReader();
  for (let part = await reader.read(); !part.done && size <= maxBytes + maxDiscardedBytes; part = await reader.read()) {
    size += part.value.length;
    if (size <= maxBytes) chunks.push(part.value);
    else chunks = [];
  }
  if (size > maxBytes) throw tooLarge(maxBytes);
  return Buffer.concat(chunks);
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
  return new ProblemError({
    slug: "payload-too-large",
    detail: `the body may have ${maxBytes} bytes at most`,
  });
}

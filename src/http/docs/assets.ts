import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "../operations/dependencies.ts";
import { notFound } from "../operations/problem.ts";
import { guideNames, readGuide } from "./guide-files.ts";

const compress = promisify(gzip);
const { resolve } = createRequire(import.meta.url);

const own = (name: string) => new URL(`assets/${name}`, import.meta.url);
const ofReference = (name: string) => pathToFileURL(resolve(`swagger-ui-dist/${name}`));

const script = "text/javascript; charset=utf-8";
const styleSheet = "text/css; charset=utf-8";

/** Files that pages under /docs load. */
const files: ReadonlyMap<string, { readonly url: URL; readonly type: string }> = new Map([
  ["docs.css", { url: own("docs.css"), type: styleSheet }],
  ["search.js", { url: own("search.js"), type: script }],
  ["reference.js", { url: own("reference.js"), type: script }],
  ["swagger-ui.css", { url: ofReference("swagger-ui.css"), type: styleSheet }],
  ["swagger-ui-bundle.js", { url: ofReference("swagger-ui-bundle.js"), type: script }],
]);

let version: string | null = null;

/** Returns the path of an asset. It changes with the content, so that browsers may keep the answer for good. */
export function assetPath(name: string): string {
  version ??= contentVersion();
  return `/docs/assets/${name}?v=${version}`;
}

/** Hash of all that the assets are made from. The version of the library stands for its large files. */
function contentVersion(): string {
  const hash = createHash("sha256");
  hash.update(readFileSync(resolve("swagger-ui-dist/package.json")));
  for (const name of ["docs.css", "search.js", "reference.js"]) hash.update(readFileSync(own(name)));
  for (const name of guideNames) hash.update(readGuide(name));
  return hash.digest("base64url").slice(0, 10);
}

/** The only asset that is not a file is the search index. */
const typeOf = (name: string): string => files.get(name)?.type ?? "application/json";

/**
 * Adds the files that pages under /docs load. `searchIndex` returns the index as JSON. Each is read and compressed when it is
 * first asked for, and then kept: all answers share its bytes, however many readers are slow.
 */
export function addDocsAssets(app: OpenAPIHono<Env>, searchIndex: () => string): void {
  const kept = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

  const contentOf = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
    if (name === "search-index.json") return new TextEncoder().encode(searchIndex());
    const file = files.get(name);
    if (file === undefined) throw notFound("file");
    return readFile(file.url);
  };
  const keep = (key: string, read: () => Promise<Uint8Array<ArrayBuffer>>) => {
    const bytes = kept.get(key) ?? read();
    kept.set(key, bytes);
    // A file that does not exist, or could not be read now, is not kept.
    bytes.catch(() => kept.delete(key));
    return bytes;
  };

  app.get("/docs/assets/:name", async (c) => {
    const name = c.req.param("name");
    const headers = { "content-type": typeOf(name), "cache-control": "public, max-age=31536000, immutable", vary: "accept-encoding" };
    if (!/\bgzip\b/.test(c.req.header("accept-encoding") ?? "")) return c.body(await keep(name, () => contentOf(name)), 200, headers);
    const packed = await keep(`${name} gzip`, async () => compress(await contentOf(name), { level: 9 }));
    return c.body(packed, 200, { ...headers, "content-encoding": "gzip" });
  });
}

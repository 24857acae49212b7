import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { SearchEntry } from "../../src/http/docs/search-index.ts";
import { createTestApi } from "./test-api.ts";

const { app, request } = createTestApi();
const index = async () => (await request("/docs/assets/search-index.json")).body as unknown as readonly SearchEntry[];

describe("the reference", () => {
  test("admits files of this service alone, and no script or style inside the page", async () => {
    const { status, headers, text } = await request("/docs");
    expect(status).toBe(200);
    expect(headers["content-type"]).toMatch(/^text\/html/);
    const policy = headers["content-security-policy"] ?? "";
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(text).not.toMatch(/<(?:img|iframe|style)\b| style=| on\w+=|<script(?!(?: defer| type="module") src="\/docs\/assets\/)/);
  });

  test("says without a script what it is about, and where the same is to be read", async () => {
    const { text } = await request("/docs");
    for (const part of ["Push notifications", 'href="/openapi.json"', 'href="/docs/guides/api"', 'href="/docs/guides/webhooks"'])
      expect(text).toContain(part);
  });
});

describe("assets", () => {
  test("those that the pages name are there, for good, compressed or not", async () => {
    const pages = [await request("/docs"), await request("/docs/guides")];
    const named = new Set(pages.flatMap(({ text }) => [...text.matchAll(/"(\/docs\/assets\/[^"]+)"/g)].map(([, path = ""]) => path)));
    expect(named.size).toBe(6);
    for (const path of named) {
      const plain = await app.request(path);
      const packed = await app.request(path, { headers: { "accept-encoding": "gzip, br" } });
      expect([path, plain.status, packed.status]).toEqual([path, 200, 200]);
      for (const { headers } of [plain, packed]) {
        expect(headers.get("content-type")).toMatch(/^(?:text\/(?:css|javascript); charset=utf-8|application\/json)$/);
        expect(headers.get("cache-control")).toMatch(/immutable/);
        expect(headers.get("vary")).toBe("accept-encoding");
      }
      expect(packed.headers.get("content-encoding")).toBe("gzip");
      const body = Buffer.from(await plain.arrayBuffer());
      expect([path, gunzipSync(Buffer.from(await packed.arrayBuffer())).equals(body)]).toEqual([path, true]);
    }
  });

  test.each(["none.js", "..%2Fdocs.ts", "swagger-ui.js"])("%s is 404, each time", async (name) => {
    for (const encoding of ["gzip", "gzip", "identity"])
      expect((await request(`/docs/assets/${name}`, { headers: { "accept-encoding": encoding } })).status).toBe(404);
  });
});

describe("the search index", () => {
  test("leads to pages and headings that exist", async () => {
    for (const { title, path } of await index()) {
      const [page = "", anchor] = path.split("#");
      const { status, text } = await request(page);
      expect([path, status, title.trim() === ""]).toEqual([path, 200, false]);
      if (page !== "/docs" && anchor !== undefined) expect([path, text.includes(` id="${anchor}"`)]).toEqual([path, true]);
    }
  });

  test("has every operation and webhook of the document", async () => {
    const document = (await request("/openapi.json")).body as { paths: Record<string, object>; webhooks: object };
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const titles = (await index()).map(({ title }) => title);
    for (const title of [...operations, ...Object.keys(document.webhooks)]) expect(titles).toContain(title);
  });
});

test("the package of the reference sends no message when it is installed", () => {
  const { scarfSettings, allowScripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    scarfSettings: unknown;
    allowScripts: Record<string, boolean>;
  };
  expect(scarfSettings).toEqual({ enabled: false });
  expect(allowScripts["@scarf/scarf"]).toBe(false);
});

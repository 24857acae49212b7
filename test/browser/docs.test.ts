import { expect, test } from "vitest";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { axeComplaintsOf, complaintsOf } from "./page-inspection.ts";
import { Visitor } from "./visitor.ts";

const rows = `[...document.querySelectorAll("#reference .opblock-summary")].map((row) => row.querySelector(".opblock-summary-method").innerText + " " + row.querySelector("[data-path]").dataset.path)`;
const documented = (items: Record<string, object>) =>
  Object.entries(items).flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`));

/** Chromium remarks on fields of the library that have neither id nor name. No reader notices. */
const isRemarkOnFields = (fault: string) => fault.includes("FormEmptyIdAndNameAttributesForInputError");

test(
  "the reference shows every operation and webhook, sends requests to this service, and asks no other host",
  { timeout: 120_000 },
  async () => {
    const { url, client } = await startService();
    const visitor = await Visitor.arrive(url);
    const requested = new Set<string>();
    visitor.page.on("request", (request) => void requested.add(request.url().split(",", 1)[0] ?? ""));
    expect(await visitor.open("/docs")).toBe(200);
    await visitor.page.waitForSelector("#reference .opblock");
    expect(visitor.faults).toEqual([]);

    const document = (await client.get("/openapi.json")).body as { paths: Record<string, object>; webhooks: Record<string, object> };
    const shown = await visitor.evaluate<readonly string[]>(rows);
    expect(shown.toSorted()).toEqual([...documented(document.paths), ...documented(document.webhooks)].toSorted());

    await visitor.page.click("#reference .authorize");
    await visitor.page.locator("#auth-bearer-value").fill(apiKey);
    await visitor.page.click(".auth-btn-wrapper .authorize");
    await visitor.page.click(".auth-btn-wrapper .btn-done");
    await visitor.page.click("#operations-Account-getMe .opblock-summary-control");
    await visitor.page.locator("#operations-Account-getMe .try-out__btn").click();
    await visitor.page.locator("#operations-Account-getMe .execute").click();
    await visitor.page.waitForSelector("#operations-Account-getMe .live-responses-table");
    const answer = await visitor.evaluate<string>(`document.querySelector("#operations-Account-getMe .live-responses-table").innerText`);
    expect(answer).toContain('"name": "default"');

    expect(visitor.faults.filter((fault) => !isRemarkOnFields(fault))).toEqual([]);
    const hosts = [...requested].map((asked) => (asked.startsWith("data:") ? "data:" : new URL(asked).origin));
    expect([...new Set(hosts)].toSorted()).toEqual(["data:", url]);
    await visitor.page.setViewport({ width: 360, height: 800 });
    expect(await visitor.evaluate("document.documentElement.scrollWidth")).toBe(360);
  },
);

test(
  "axe finds nothing serious in the reference, closed and with an operation, a model and the keys open",
  { timeout: 120_000 },
  async () => {
    const { url } = await startService();
    const visitor = await Visitor.arrive(url);
    await visitor.page.setViewport({ width: 1280, height: 900 });
    await visitor.open("/docs");
    await visitor.page.waitForSelector("#reference .opblock");
    expect(await axeComplaintsOf(visitor)).toEqual([]);
    await visitor.page.click("#operations-Watches-createWatch .opblock-summary-control");
    await visitor.page.locator("#operations-Watches-createWatch .try-out__btn").click();
    await visitor.page.locator("#operations-Watches-createWatch .execute").click();
    await visitor.page.waitForSelector("#operations-Watches-createWatch .live-responses-table");
    await visitor.page.click("#operations-Watches-getWatch .opblock-summary-control");
    await visitor.page.waitForSelector("#operations-Watches-getWatch .responses-table");
    expect(await axeComplaintsOf(visitor)).toEqual([]);
    await visitor.page.click("#reference .authorize");
    await visitor.page.waitForSelector("#auth-bearer-value");
    expect(await axeComplaintsOf(visitor)).toEqual([]);
  },
);

test("a search finds sections of guides and operations, and its links lead there", { timeout: 120_000 }, async () => {
  const { url } = await startService();
  const visitor = await Visitor.arrive(url);
  await visitor.open("/docs/guides/receivers");
  const titles = `[...document.querySelectorAll("#found a")].map(({ innerText }) => innerText)`;
  await visitor.fill("Search guides and reference", "rotate secret");
  await expect.poll(() => visitor.evaluate(titles)).toContain("POST /v1/endpoints/{id}/rotate-secret");
  await visitor.press("link", "POST /v1/endpoints/{id}/rotate-secret");
  await visitor.page.waitForSelector("#operations-Endpoints-rotateSecret.is-open");
  await visitor.page.locator("#query").fill("three rules");
  await expect.poll(() => visitor.evaluate(titles)).toContain("Three rules");
  // Swagger UI writes the address while the reader opens operations, so a navigation is not yet the new page.
  await visitor.page.click("#found a");
  await visitor.page.waitForFunction("location.pathname === '/docs/guides/receivers' && document.readyState === 'complete'");
  expect(await visitor.evaluate("location.pathname + location.hash")).toBe("/docs/guides/receivers#three-rules");
  await visitor.fill("Search guides and reference", "no-such-word-anywhere");
  await expect.poll(() => visitor.text()).toContain("Found: 0");
  expect(visitor.faults.filter((fault) => !isRemarkOnFields(fault))).toEqual([]);
});

test("guides fit screens and reading aids, and without scripts every page has links to all guides", async () => {
  const { url } = await startService();
  const visitor = await Visitor.arrive(url);
  for (const path of ["/docs/guides", "/docs/guides/receivers", "/docs/guides/configuration"]) {
    await visitor.open(path);
    expect([path, await complaintsOf(visitor)]).toEqual([path, []]);
  }
  await visitor.page.setJavaScriptEnabled(false);
  await visitor.page.setViewport({ width: 1280, height: 900 });
  await visitor.open("/docs");
  const text = await visitor.text();
  expect(text).not.toContain("Search guides and reference");
  for (const title of ["Receive and verify", "Operate Ringback", "/openapi.json"]) expect(text).toContain(title);
  await Promise.all([visitor.page.waitForNavigation(), visitor.page.click("nav a[href='/docs/guides/receivers']")]);
  expect(visitor.path).toBe("/docs/guides/receivers");
  expect(visitor.faults).toEqual([]);
});

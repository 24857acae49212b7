import { mkdir, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { serve } from "@hono/node-server";
import { launch } from "puppeteer-core";
import type { Page } from "puppeteer-core";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { SourceHealth } from "../../../src/domain/sources/source.ts";
import { keyScopes } from "../../../src/domain/secrets/key-scopes.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { minute, startMs, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { createTestApi } from "../../http/test-api.ts";
import { apiKeyView } from "../../http/views.ts";
import { chromiumOnPath, commonArguments } from "../chromium.ts";
import { DemoAccount } from "./demo-account.ts";

// `npm run screenshots` makes the pictures of the README from an account with an hour of calls, the same every time.
// `-- --all <folder>` makes one of every page, on a phone, in the dark and on a screen, to be looked at.

const { values } = parseArgs({ options: { all: { type: "string" } } });
const pictures = new URL("../../../.github/images/", import.meta.url);
const untilMs = startMs + 70 * minute + 7000;
const port = 20_000 + (process.pid % 20_000);
const [screen, phone] = [
  { width: 1200, height: 800 },
  { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
];

const world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy }));
const account = { ...(await world.account()), name: "northwind" };
const watchId = await new DemoAccount(world, untilMs).live();
const source = (name: string, kind: string, lastGoodPollAtMs: number | null, intervalMs: number): SourceHealth => ({
  name,
  kind,
  state: lastGoodPollAtMs === null ? "unproven" : "ok",
  reason: null,
  sinceMs: null,
  lastGoodPollAtMs,
  lastUnknownStatus: null,
  intervalMs,
});
const sources = [source("default", "polyai-legacy", untilMs - 900, 2000), source("sandbox", "sandbox", null, 1000)];
const key = { ...apiKeyView, accountId: account.id, name: "operations", scopes: keyScopes };
const api = createTestApi({
  store: world.store,
  clock: new FakeClock(untilMs),
  authentication: { findByKey: async () => ({ kind: "account", account, key }) },
  live: { sources: () => sources, allSources: () => sources, changed: () => new Promise<never>(() => undefined) },
});
const server = serve({
  fetch: (request) => api.stream(new URL(request.url).pathname + new URL(request.url).search, Object.fromEntries(request.headers)),
  port,
  hostname: "127.0.0.1",
});
const browser = await launch({ executablePath: chromiumOnPath(), args: commonArguments });
try {
  const page = await browser.newPage();
  await page.setExtraHTTPHeaders({ authorization: "Bearer any" });
  await (values.all === undefined ? takePictures(page) : takeAll(page, values.all));
} finally {
  await browser.close();
  server.close();
  await world.store.close();
}

async function open(page: Page, path: string): Promise<void> {
  await page.goto(`http://127.0.0.1:${port}${path}`, { waitUntil: "load" });
}

/** The overview and the timeline of a call. */
async function takePictures(page: Page): Promise<void> {
  await mkdir(pictures, { recursive: true });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  for (const [name, path, height] of [
    ["overview", "/dashboard", 880],
    ["call", `/dashboard/watches/${watchId}`, 850],
  ] as const) {
    await page.setViewport({ ...screen, height });
    await open(page, path);
    await page.waitForFunction("document.querySelector('.live')?.dataset.state === 'on'");
    await writeFile(new URL(`${name}.png`, pictures), await page.screenshot({ type: "png" }));
  }
}

async function takeAll(page: Page, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const accountId = account.id;
  const { data: deliveries } = await world.store.listDeliveries({
    accountId,
    limit: 1,
    cursor: null,
    endpointId: null,
    watchId: null,
    status: "delivered",
  });
  const { data: endpoints } = await world.store.listEndpoints({ accountId, limit: 1, cursor: null });
  const paths = [
    "",
    "/watches",
    "/watches/new",
    `/watches/${watchId}`,
    `/watches/${watchId}/delete`,
    "/deliveries",
    `/deliveries/${deliveries[0]?.delivery.id}`,
    "/endpoints",
    `/endpoints/${endpoints[0]?.endpoint.id}`,
    `/endpoints/${endpoints[0]?.endpoint.id}/edit`,
    "/events",
    `/events/${deliveries[0]?.delivery.eventId}`,
    "/hooks",
    "/hooks/new",
    "/calls",
    "/sources",
    "/keys",
    "/portal-links",
    "/audit",
    "/signing-secret",
  ];
  for (const [index, path] of paths.entries())
    for (const [name, viewport, value] of [
      ["phone", phone, "light"],
      ["dark", screen, "dark"],
      ["screen", screen, "light"],
    ] as const) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
      await page.setViewport(viewport);
      await open(page, `/dashboard${path}`);
      const beyond = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      if (beyond !== 0) throw new Error(`${path} on the ${name}: ${String(beyond)} px too wide`);
      const file = `${folder}/${String(index).padStart(2, "0")}${path.replaceAll(/[/_]/g, "-").slice(0, 20)}-${name}.png`;
      await writeFile(file, await page.screenshot({ type: "png", fullPage: true }));
    }
}

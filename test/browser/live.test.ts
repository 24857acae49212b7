import { expect, test } from "vitest";
import { accountOnShow } from "./account-on-show.ts";
import type { Visitor } from "./visitor.ts";

const waitMs = { timeout: 15_000 };
const mark = "window.isSamePage = true";
const isSamePage = (visitor: Visitor) => visitor.evaluate<boolean>("window.isSamePage === true");
const stateOf = (visitor: Visitor) => visitor.evaluate<string>("document.querySelector('.live span')?.textContent ?? ''");

test("a page shows what happens without being loaded again, and keeps focus and what is open", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await expect.poll(() => stateOf(visitor), waitMs).toBe("Live");
  await visitor.evaluate(mark);
  await visitor.evaluate(`document.querySelector('a[href="/dashboard/watches/${account.givenUp.id}"]').focus()`);
  const watch = await account.client.post("/v1/watches", { call_sid: "OUT-sandbox-success-live", source: "sandbox", callback_url: null });
  expect(watch.status).toBe(201);
  await expect.poll(() => visitor.text(), waitMs).toContain("OUT-sandbox-success-live");
  expect(await visitor.evaluate("document.activeElement.getAttribute('href')")).toBe(`/dashboard/watches/${account.givenUp.id}`);

  await visitor.open(`/dashboard/watches/${String(watch.body["id"])}`);
  await visitor.evaluate(mark);
  await expect.poll(() => visitor.text(), waitMs).toContain("call.success");
  await expect.poll(() => visitor.text(), waitMs).toContain("Completed: the call has ended");
  expect(await isSamePage(visitor)).toBe(true);
  expect(visitor.faults).toEqual([]);
});

test("a page can be paused, and says when its session has ended", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.open("/dashboard/watches");
  await expect.poll(() => stateOf(visitor), waitMs).toBe("Live");
  await visitor.page.locator("::-p-aria(Pause updates)").click();
  expect(await stateOf(visitor)).toBe("Paused");
  await account.client.post("/v1/watches", { call_sid: "OUT-sandbox-slow-paused", source: "sandbox", callback_url: null });
  await visitor.page.locator("::-p-aria(Resume updates)").click();
  await expect.poll(() => visitor.text(), waitMs).toContain("OUT-sandbox-slow-paused");

  const cookies = await visitor.page.browserContext().cookies();
  await visitor.page.browserContext().deleteCookie(...cookies);
  await expect.poll(() => stateOf(visitor), waitMs).toBe("Session ended: reload the page");
  expect(new Set(visitor.faults.splice(0))).toEqual(new Set(["401 GET /dashboard/watches"]));
});

test("the operator's view shows what happens without being loaded again", async () => {
  const account = await accountOnShow();
  const visitor = await account.signInAsOperator();
  await expect.poll(() => stateOf(visitor), waitMs).toBe("Live");
  await visitor.evaluate(mark);
  const watched = async () => Number(/Active watches\s+(\d+)/.exec(await visitor.text())?.[1]);
  const before = await watched();
  await account.client.post("/v1/watches", { call_sid: "OUT-sandbox-slow-operator", source: "sandbox", callback_url: null });
  await expect.poll(watched, waitMs).toBe(before + 1);
  await visitor.press("link", "Accounts");
  await expect.poll(() => stateOf(visitor), waitMs).toBe("Live");
  await visitor.press("link", "default");
  await expect.poll(() => stateOf(visitor), waitMs).toBe("Live");
  expect(visitor.faults).toEqual([]);
});

test("a page without a script shows the same and offers to reload itself", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.page.setJavaScriptEnabled(false);
  await visitor.open("/dashboard");
  const link = await visitor.evaluate<string>("[...document.links].find(({ innerText }) => innerText === 'Refresh every 10 s').search");
  expect([link, await visitor.open(`/dashboard${link}`)]).toEqual(["?refresh=on", 200]);
  expect(await visitor.text()).toContain("Refreshes every 10 s.");
  expect(visitor.faults).toEqual([]);
});

test("pictures have text, and the search finds each kind", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  const pictures =
    "[...document.querySelectorAll('.chart')].map((chart) => [chart.querySelector('svg').getAttribute('aria-label'), chart.querySelector('details').open])";
  const labels = await visitor.evaluate<readonly (readonly [string, boolean])[]>(pictures);
  expect(labels.map(([label]) => label.split(".")[0])).toEqual([
    "Transitions and webhooks per minute",
    "Success rate",
    "Delivery latency",
    "Detection delay",
  ]);
  await visitor.page.locator("::-p-aria(Numbers: success rate)").click();
  expect(await visitor.text()).toMatch(/Attempts that delivered\s+\d\d:\d\d\s+75 %/);
  const { id, deliveryId, endpointId } = account.givenUp;
  const field = "Call SID, webhook-id, any other id, or metadata";
  for (const [wanted, path] of [
    [id, `/dashboard/watches/${id}`],
    [deliveryId, `/dashboard/deliveries/${deliveryId}`],
    [endpointId, `/dashboard/endpoints/${endpointId}`],
    [String(account.received[0]?.headers["webhook-id"]), `/dashboard/watches/${id}`],
    [account.hookId, `/dashboard/find?q=${account.hookId}`],
    ["OUT-arrived", "/dashboard/watches?call_sid=OUT-arrived"],
    ["said:as given", "/dashboard/watches?metadata=said%3Aas+given"],
  ] as const) {
    await visitor.open("/dashboard");
    await visitor.fill(field, wanted);
    await visitor.press("button", "Find");
    expect([wanted, visitor.path]).toEqual([wanted, path]);
  }
  expect(visitor.faults).toEqual([]);
});

import { expect, test } from "vitest";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { accountOnShow, arrivedSid, givenUpSid } from "./account-on-show.ts";
import { complaintsOf } from "./page-inspection.ts";
import { Visitor } from "./visitor.ts";

test("a wrong key is said to be wrong, the right one leads to where one wanted to go", async () => {
  const { url } = await startService();
  const visitor = await Visitor.arrive(url);
  expect(await visitor.open("/dashboard/hooks")).toBe(401);
  expect(await complaintsOf(visitor)).toEqual(["401 GET /dashboard/hooks"]);
  await visitor.fill("API key", "rb_no_such_key_0123456789");
  expect(await visitor.press("button", "Sign in")).toContain("This key is not valid: it is unknown, expired or was revoked.");
  expect(await visitor.page.browserContext().cookies()).toEqual([]);
  expect(await complaintsOf(visitor)).toEqual(["401 POST /dashboard/sign-in"]);

  await visitor.open("/dashboard/hooks");
  await visitor.fill("API key", apiKey);
  expect(await visitor.press("button", "Sign in")).toContain("No hooks.");
  expect(visitor.path).toBe("/dashboard/hooks");
});

test("the session's cookie is out of reach of scripts and other sites", async () => {
  const { url } = await startService();
  const visitor = await Visitor.signedIn(url, apiKey);
  const cookies = await visitor.page.browserContext().cookies();
  expect(cookies).toMatchObject([{ name: "ringback_session", httpOnly: true, sameSite: "Lax", path: "/dashboard" }]);
  expect(await visitor.evaluate("document.cookie")).toBe("");
  expect(cookies[0]?.value).not.toContain(apiKey);
});

test("after the sign-out neither Back nor an address shows anything of the account", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  expect(await visitor.press("link", "Watches")).toContain(arrivedSid);
  expect(await visitor.press("link", givenUpSid)).toContain("The receiver failed while it handled the webhook");
  expect(await visitor.press("button", "Sign out")).toContain("Sign in with an API key of your account.");
  expect(await visitor.page.browserContext().cookies()).toEqual([]);
  for (const path of [`/dashboard/watches/${account.givenUp.id}`, "/dashboard/watches", "/dashboard"]) {
    await visitor.page.goBack();
    expect(visitor.path).toBe(path);
    expect(await visitor.text()).toContain("Sign in with an API key of your account.");
    for (const text of [arrivedSid, givenUpSid, account.givenUp.endpointId]) expect(await visitor.page.content()).not.toContain(text);
  }
  expect(await visitor.open(`/dashboard/deliveries/${account.givenUp.deliveryId}`)).toBe(401);
});

test("the keyboard alone leads from the sign-in to a test webhook", async () => {
  const account = await accountOnShow();
  const visitor = await Visitor.arrive(account.url);
  const { keyboard } = visitor.page;
  const focused = () => visitor.evaluate<string>("document.activeElement.innerText || document.activeElement.name || ''");
  /** Goes on with Tab, but not for ever, until that has the focus. */
  const tabTo = async (wanted: string) => {
    const passed: string[] = [];
    for (; passed.at(-1) !== wanted && passed.length < 40; passed.push(await focused())) await keyboard.press("Tab");
    expect(passed.at(-1)).toBe(wanted);
    const outline = await visitor.evaluate<string>("getComputedStyle(document.activeElement).outlineStyle");
    expect([wanted, outline]).toEqual([wanted, "solid"]);
    return passed;
  };
  const enter = () => Promise.all([visitor.page.waitForNavigation(), keyboard.press("Enter")]);
  await visitor.open(`/dashboard/endpoints/${account.givenUp.endpointId}`);
  expect(await tabTo("api_key")).toEqual(["api_key"]);
  await keyboard.type(apiKey);
  await enter();
  // The navigation can be left out.
  expect(await tabTo("Skip to content")).toHaveLength(1);
  await keyboard.press("Enter");
  expect(await tabTo("Send a test webhook")).toEqual(["Pause updates", "Send a test webhook"]);
  account.repair();
  await enter();
  expect(await visitor.text()).toContain("The test webhook was delivered.");
  expect(account.received.at(-1)?.body).toContain('"endpoint.test"');
});

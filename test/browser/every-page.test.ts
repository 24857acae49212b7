import { expect, test } from "vitest";
import { accountOnShow, hostileWords } from "./account-on-show.ts";
import { complaintsOf } from "./page-inspection.ts";
import type { Visitor } from "./visitor.ts";

const mostPages = 120;
const links = `[...document.querySelectorAll("a[href]:not([download])")].map(({ pathname, search, origin }) => (origin === location.origin ? "" : origin) + pathname + search)`;
const forms = `[...document.forms].map((form) => form.getAttribute("method") + " " + form.getAttribute("action").replaceAll(/(wch|dlv|ep|hk|plc|key|ptl)_[^/]+/g, "$1"))`;

/** Follows every link from there on, and `look`s at each page it leads to. */
async function crawl(visitor: Visitor, from: string, look: (path: string) => Promise<void>): Promise<readonly string[]> {
  const paths = [from];
  for (let index = 0; index < paths.length; index++) {
    const path = paths[index] ?? "";
    expect([path, await visitor.open(path)]).toEqual([path, 200]);
    const found = await visitor.evaluate<readonly string[]>(links);
    paths.push(...new Set(found.filter((link) => !paths.includes(link))));
    expect(paths.length).toBeLessThan(mostPages);
    await look(path);
  }
  return paths;
}

test(
  "every page fits screens and reading aids and loads nothing from another host, with hostile texts too",
  { timeout: 180_000 },
  async () => {
    const account = await accountOnShow(hostileWords);
    const visitor = await account.signIn();
    const done = new Set<string>();
    const paths = await crawl(visitor, "/dashboard", async (path) => {
      for (const form of await visitor.evaluate<readonly string[]>(forms)) done.add(form);
      expect([path, await complaintsOf(visitor)]).toEqual([path, []]);
    });
    for (const [kind, count] of Object.entries({ watches: 2, deliveries: 4, endpoints: 3 }))
      expect([kind, paths.filter((path) => new RegExp(`^/dashboard/${kind}/(?!new$)[^/?]+$`).test(path)).length]).toEqual([kind, count]);
    // What the other tests do: one that is new wants a test there.
    expect([...done].toSorted()).toEqual([
      "get /dashboard/audit",
      "get /dashboard/calls",
      "get /dashboard/deliveries",
      "get /dashboard/events",
      "get /dashboard/find",
      "get /dashboard/watches",
      "post /dashboard/calls",
      "post /dashboard/calls/plc/resolve",
      "post /dashboard/deliveries/dlv/retry",
      "post /dashboard/endpoints/ep/edit",
      "post /dashboard/endpoints/ep/recover",
      "post /dashboard/endpoints/ep/rotate",
      "post /dashboard/endpoints/ep/state",
      "post /dashboard/endpoints/ep/test",
      "post /dashboard/endpoints/recover",
      "post /dashboard/hooks",
      "post /dashboard/hooks/hk/delete",
      "post /dashboard/keys",
      "post /dashboard/keys/key/revoke",
      "post /dashboard/portal-links",
      "post /dashboard/portal-links/ptl/revoke",
      "post /dashboard/sign-out",
      "post /dashboard/signing-secret",
      "post /dashboard/watches",
      "post /dashboard/watches/wch/delete",
      "post /dashboard/watches/wch/edit",
    ]);
    const operator = await account.signInAsOperator();
    const seen = await crawl(operator, "/dashboard/operator", async (path) => {
      expect([path, await complaintsOf(operator)]).toEqual([path, []]);
      expect([path, await operator.evaluate<readonly string[]>(forms)]).toEqual([
        path,
        expect.not.arrayContaining([expect.stringMatching(/^post (?!.*sign-out)/)]),
      ]);
    });
    expect(seen.length).toBeGreaterThan(4);
    const said = encodeURIComponent(hostileWords);
    for (const [path, status] of [
      ["/dashboard/watches/wch_unknown", 404],
      [`/dashboard/find?q=${said}`, 404],
      [`/dashboard/watches?status=${said}`, 422],
      [`/dashboard/deliveries?endpoint_id=${encodeURIComponent(hostileWords.slice(0, 64))}`, 200],
    ] as const) {
      expect([path, await visitor.open(path)]).toEqual([path, status]);
      expect(await complaintsOf(visitor)).toEqual(status === 200 ? [] : [`${status} GET ${visitor.path}`]);
    }
  },
);

test("what strangers wrote runs nothing even where no policy keeps scripts out, and is there to be read", async () => {
  const account = await accountOnShow(hostileWords);
  const visitor = await account.signIn();
  await visitor.page.setBypassCSP(true);
  const { id, deliveryId, endpointId } = account.givenUp;
  // What is in a URL or in JSON is escaped, in part, before it comes to a page.
  const pages = { "": 2, [`/watches/${id}`]: 7, [`/deliveries/${deliveryId}`]: 4, [`/endpoints/${endpointId}`]: 0, "/hooks": 0 };
  for (const [path, times] of Object.entries(pages)) {
    await visitor.open(`/dashboard${path}`);
    expect([path, (await visitor.text()).split("<script>alert(1)</script>").length - 1]).toEqual([path, times]);
    expect(
      await visitor.evaluate(`document.querySelectorAll('script:not([src^="/dashboard/live-"]), img, [onmouseover], [onerror]').length`),
    ).toBe(0);
  }
  expect(visitor.faults).toEqual([]);
});

test("what is wrong with a page would be noticed", async () => {
  const { signIn } = await accountOnShow();
  const visitor = await signIn();
  const spoilt = `<h1></h1><input><img src="https://elsewhere.example/"><img src="/none" onerror="alert(1)">
    <p style="color:#888;background:#999">faint</p><p>\u202eturned</p><div style="width:1300px">wide</div>`;
  const spoil = `document.body.innerHTML = ${JSON.stringify(spoilt)}`;
  await visitor.evaluate(spoil);
  const complaint = /^console: Loading the image 'https:\/\/elsewhere.example\/' violates the following Content Security Policy/;
  expect(await complaintsOf(visitor)).toContainEqual(expect.stringMatching(complaint));

  await visitor.page.setBypassCSP(true);
  await visitor.open("/dashboard");
  await visitor.evaluate(spoil);
  await expect.poll(() => visitor.faults).toContain("dialog: 1");
  await expect.poll(() => visitor.faults).toContain("failed: https://elsewhere.example/ net::ERR_NAME_NOT_RESOLVED");
  const complaints = await complaintsOf(visitor);
  for (const complaint of [
    'headings of the first order: [""]',
    "a textbox without a name",
    "turned round: turned",
    "faint when it is light: faint",
    "faint when it is dark: faint",
    "elsewhere: https://elsewhere.example/",
    "404 GET /none",
  ])
    expect(complaints).toContain(complaint);
  expect(complaints.filter((text) => / px beyond (360|800|1201)$/.test(text))).toHaveLength(3);
});

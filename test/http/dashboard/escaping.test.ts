import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newId } from "../../../src/domain/ids.ts";
import { answered, only, startMs } from "../../harness/store-drafts.ts";
import { hashApiKey, openDashboard, signIn } from "./dashboard-world.ts";
import type { OpenDashboard } from "./dashboard-world.ts";
import { linksOf, skeletonOf, unescaped } from "./page-text.ts";

const ours = /^(?:\/dashboard(?:[/?][^"'<>\\\s]*)?|#main)$/;
const allowedTags = new Set(
  "!doctype html head meta title style body a header div span nav main footer form input select textarea option button label h1 h2 h3 p dl dt dd table thead tbody tr th td time code pre ol ul li br bdi details summary fieldset legend strong em section script noscript b svg path rect figure figcaption caption".split(
    " ",
  ),
);

/** The one script, which the dashboard itself serves. */
const ownScript = /<script src="\/dashboard\/live-[0-9a-f]{16}\.js" data-stream="[^"]*" defer><\/script>/;

const attacks = [
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  "javascript:alert(1)",
  "</pre></title></style><svg/onload=alert(1)>",
  "<!--",
  "--><b>",
  "&lt;b&gt;&quot;&#34;&#x3c;",
  "]]><![CDATA[",
  "\u2028\u0000\u0007\r\n<a\u00a0b>",
  "data:text/html,<script>1</script>",
  "{{7*7}}${7*7}`",
  "constructor",
  "__proto__",
];
/** Attacks and other odd texts; never empty, because a page leaves out empty texts. */
const hostile = fc
  .oneof(
    fc.constantFrom(...attacks),
    fc
      .array(
        fc.oneof(
          fc.constantFrom(...attacks, "<", ">", '"', "'", "&", "=", " "),
          fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }),
        ),
        { minLength: 1, maxLength: 6 },
      )
      .map((parts) => parts.join("")),
  )
  .filter((text) => text.trim() !== "");

type Strangers = {
  readonly status: string;
  readonly reason: string;
  readonly metadata: string;
  readonly excerpt: string;
  readonly detail: string;
  readonly url: string;
  readonly name: string;
};
const benign: Strangers = { status: "b", reason: "b", metadata: "b", excerpt: "b", detail: "b", url: "b", name: "b" };
let made = 0;

/** An account where everything that strangers can write is what they wrote; its pages by path, ids left out. */
async function pagesOf({ world, ask }: OpenDashboard, strangers: Strangers): Promise<ReadonlyMap<string, string>> {
  made += 1;
  const { status, reason, metadata, excerpt, detail, url, name } = strangers;
  const { id: accountId } = await world.account(`${name} ${made}`);
  const accountKey = `rb_account_key_of_number_${made}`;
  await world.store.ensureKey({
    id: newId("key", startMs),
    accountId,
    name: "test",
    fingerprints: [hashApiKey(accountKey)],
    nowMs: startMs,
  });
  const headers = { names: [name], sealed: new Uint8Array([1]), fingerprints: [`${made}`] };
  const callSid = `OUT-${made}-${name}`;
  const { view } = await world.watch(callSid, {
    accountId,
    metadata: { key: metadata },
    sourceName: name,
    endpoint: { url: `https://a.example/${url}`, headers },
  });
  const { view: hook } = await world.hook("https://b.example/", { accountId, endpoint: { url: `https://b.example/${url}` } });
  const jobs = (await world.see(callSid, status, reason)).jobs;
  const toWatch = only(jobs.filter((job) => job.target.id === view.watch.endpointId));
  const toHook = only(jobs.filter((job) => job.target.id !== view.watch.endpointId));
  await world.record(toWatch, { kind: "answered", statusCode: 400, retryAfter: null, excerpt });
  await world.record(toHook, { kind: "failed", code: "protocol", detail, statusCode: null, permanent: true });
  const events = await world.store.listWatchEvents({ accountId, watchId: view.watch.id, limit: 1, cursor: null });
  const paths = {
    overview: "",
    watches: "/watches",
    watch: `/watches/${view.watch.id}`,
    "watch, live": `/watches/${view.watch.id}?refresh=on`,
    "delete watch": `/watches/${view.watch.id}/delete`,
    deliveries: "/deliveries",
    delivery: `/deliveries/${toWatch.deliveryId}`,
    "delivery to the hook": `/deliveries/${toHook.deliveryId}`,
    endpoints: "/endpoints",
    endpoint: `/endpoints/${view.watch.endpointId}`,
    "change an endpoint": `/endpoints/${view.watch.endpointId}/edit`,
    "rotate a secret": `/endpoints/${view.watch.endpointId}/rotate`,
    calls: "/calls",
    sources: "/sources",
    keys: "/keys",
    "portal links": "/portal-links",
    audit: "/audit",
    "a bad time": `/audit?since=${encodeURIComponent(name)}`,
    "a new hook": "/hooks/new",
    hooks: "/hooks",
    "delete hook": `/hooks/${hook.id}/delete`,
    events: "/events",
    event: `/events/${events?.data[0]?.event.id}`,
    found: `/find?q=${events?.data[0]?.event.id}`,
    "a notice": `/hooks?notice=${encodeURIComponent(name)}`,
    "a filter": `/deliveries?endpoint_id=${encodeURIComponent(name.slice(0, 60).toWellFormed())}&watch_id=${encodeURIComponent(metadata.slice(0, 60).toWellFormed())}`,
    "a bad filter": `/watches?status=${encodeURIComponent(name)}`,
    "a parameter given twice": `/watches?${encodeURIComponent(name)}=1&${encodeURIComponent(name)}=2`,
    "an unknown id": `/watches/${encodeURIComponent(name)}`,
    "a search": `/find?q=${encodeURIComponent(reason)}`,
  };
  const pages = new Map<string, string>();
  for (const [title, path] of Object.entries(paths))
    pages.set(title, (await ask(`/dashboard${path}`, { headers: { "x-api-key": accountKey } })).text);
  pages.set("signed out", (await ask(`/dashboard?${encodeURIComponent(name)}`)).text);
  return pages;
}

describe("what strangers write is text", () => {
  test("pages have the same tags and attributes with every text", async () => {
    const dashboard = await openDashboard();
    const expected = await pagesOf(dashboard, benign);
    for (const [title, page] of expected) {
      const tags = skeletonOf(page).map((tag) => /^<\/?([a-z0-9!]+)/i.exec(tag)?.[1]?.toLowerCase() ?? tag);
      if (title !== "found") expect([title, tags.length > 10]).toEqual([title, true]);
      expect([title, tags.filter((tag) => !allowedTags.has(tag))]).toEqual([title, []]);
    }
    const strangers = fc.record({
      status: hostile,
      reason: hostile,
      metadata: hostile,
      excerpt: hostile,
      detail: hostile,
      url: hostile,
      name: hostile,
    });
    await fc.assert(
      fc.asyncProperty(strangers, async (written) => {
        const pages = await pagesOf(dashboard, written);
        for (const [title, whole] of pages) {
          const page = whole.replace(ownScript, "<script></script>");
          expect([title, skeletonOf(whole)]).toEqual([title, skeletonOf(expected.get(title) ?? "")]);
          expect([title, linksOf(page).filter((link) => !ours.test(link))]).toEqual([title, []]);
          expect([
            title,
            page
              .replace(ownScript, "")
              .match(/ (?:on\w+|style|src|srcdoc)=/gi)
              ?.filter(isAttribute(page)) ?? [],
          ]).toEqual([title, []]);
        }
        const watch = unescaped(pages.get("watch") ?? "");
        for (const text of [written.metadata, written.reason, written.detail]) expect(watch).toContain(text);
        expect(unescaped(pages.get("delivery") ?? "")).toContain(written.excerpt);
        expect(unescaped(pages.get("endpoint") ?? "")).toContain(written.url);
      }),
      // A quotation within a detail was once read as one of the service's own sentence.
      { numRuns: 60, examples: [[{ ...benign, detail: '""b' }]] },
    );
  }, 120_000);

  test("the check itself would notice a tag, an attribute and a quote", () => {
    const skeletons = ["c", "&lt;b&gt;", "<b>", "</p><p>", '<a title="'].map((text) => skeletonOf(`<p class="a">${text}</p>`).join(""));
    expect(skeletons).toEqual([
      "<p class=></p>",
      "<p class=></p>",
      "<p class=><b></p>",
      "<p class=></p><p></p>",
      expect.not.stringMatching(/^<p class=><\/p>$/),
    ]);
    expect(skeletonOf('<p class="a" onclick="b">')).not.toEqual(skeletonOf('<p class="a">'));
  });
});

/** Whether a match stands inside a tag: in text it does no harm. */
function isAttribute(page: string): (match: string) => boolean {
  const tags = skeletonOf(page).join("");
  return (match) => tags.includes(match);
}

test("what turns the direction of writing turns nothing but a stranger's own words", async () => {
  const dashboard = await openDashboard();
  const { view } = await dashboard.world.watch("OUT-1");
  const job = only((await dashboard.world.see("OUT-1", "\u202e")).jobs);
  const { get } = await signIn(dashboard);
  expect((await get(`/dashboard/watches/${view.watch.id}`)).text).toContain("leave <bdi>&quot;\u202e&quot;</bdi>, ");
  expect(unescaped((await get(`/dashboard/deliveries/${job.deliveryId}`)).text)).toContain(String.raw`"status":"\u202e"`);
});

test("an answer that begins with a line break loses nothing of it", async () => {
  const { world, ask, account } = await openDashboard();
  await world.watch("OUT-1");
  const job = only((await world.see("OUT-1", "queued")).jobs);
  await world.record(job, { ...answered(500), excerpt: "\nfirst" } as ReturnType<typeof answered>);
  const key = "rb_another_key_0123456789";
  await world.store.ensureKey({
    id: newId("key", startMs),
    accountId: account.id,
    name: "second",
    fingerprints: [hashApiKey(key)],
    nowMs: startMs,
  });
  // A parser drops the first line break after <pre>.
  expect((await ask(`/dashboard/deliveries/${job.deliveryId}`, { headers: { "x-api-key": key } })).text).toContain("<pre>\n\nfirst</pre>");
});

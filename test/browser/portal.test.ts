import { launch } from "puppeteer-core";
import type { Frame, Page } from "puppeteer-core";
import { expect, onTestFinished, test } from "vitest";
import { startService } from "../harness/service/service.ts";
import { chromiumOnPath, commonArguments } from "./chromium.ts";
import { identityFor, listenOverTls, passingOn } from "./tls-proxy.ts";

/** Names of different sites, which this browser finds on this machine. */
const names = { service: "ringback.example", crm: "crm.example", other: "other.example" };

/** The service behind TLS, and pages of other sites that frame what they are asked for. */
async function startWorld() {
  const identity = identityFor(...Object.values(names));
  let target = "";
  const port = await listenOverTls(
    identity,
    passingOn(() => target),
  );
  const framing = await listenOverTls(identity, (request, response) => {
    const framed = new URL(request.url ?? "", "https://any.example").searchParams.get("framed") ?? "";
    response
      .writeHead(200, { "content-type": "text/html" })
      .end(
        `<!doctype html><title>CRM</title><h1>CRM</h1><iframe title="Calls" width="900" height="900" src="${framed.replaceAll("&", "&amp;")}"></iframe>`,
      );
  });
  const publicUrl = `https://${names.service}:${port}`;
  const service = await startService({ environment: { PUBLIC_URL: publicUrl } });
  target = service.url;
  const browser = await launch({
    executablePath: chromiumOnPath(),
    args: [
      ...commonArguments,
      `--host-resolver-rules=${Object.values(names)
        .map((name) => `MAP ${name} 127.0.0.1`)
        .join(", ")}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
      `--ignore-certificate-errors-spki-list=${identity.keyHash}`,
      // As browsers do that keep the cookies of other sites away from frames: only a partitioned one comes.
      "--test-third-party-cookie-phaseout",
    ],
  });
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  return {
    client: service.client,
    browser,
    page,
    /** Opens the page of a site that frames a URL. */
    frame: async (name: string, url: string) => {
      await page.goto(`https://${name}:${framing}/?framed=${encodeURIComponent(url)}`);
      return frameOf(page);
    },
    originOf: (name: string) => `https://${name}:${framing}`,
    publicUrl,
  };
}

function frameOf(page: Page): Frame {
  const [, framed] = page.frames();
  if (framed === undefined) throw new Error("the page has no frame");
  return framed;
}

const textOf = async (frame: Frame) => (await frame.evaluate("document.body?.innerText ?? ''")) as string;

/** Presses a button in a frame and waits for the page that it leads to. */
async function press(frame: Frame, name: string): Promise<string> {
  await Promise.all([frame.waitForNavigation(), frame.locator(`::-p-aria([name="${name}"][role="button"])`).click()]);
  return textOf(frame);
}

test("a portal works in a frame on the page of another site that its link names, and in no other", async () => {
  const { client, browser, page, frame, originOf, publicUrl } = await startWorld();
  const { body: watch } = await client.post("/v1/watches", {
    call_sid: "OUT-sandbox-slow-framed",
    source: "sandbox",
    callback_url: "http://127.0.0.1:9/calls",
    signing_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  });
  const linkTo = async (body: object) => {
    const answer = await client.post("/v1/portal-links", { can: "operate", ...body });
    expect([answer.status, answer.text]).toEqual([201, answer.text]);
    return answer.body as { readonly id: string; readonly url: string };
  };
  const isUsed = async (id: string) =>
    (await client.list<{ id: string; used_at: string | null }>("/v1/portal-links")).find((link) => link.id === id)?.used_at !== null;

  const link = await linkTo({ frame_ancestors: [originOf(names.crm)] });
  expect(link.url.startsWith(`${publicUrl}/portal/${link.id}/open`)).toBe(true);
  const framed = await frame(names.crm, link.url);
  expect(await textOf(framed)).toContain("This link opens the dashboard of default once");
  expect(await isUsed(link.id)).toBe(false);
  expect(await press(framed, "Open the dashboard")).toMatch(/Overview.*Account default.*OUT-sandbox-slow-framed/s);
  expect(new URL(framed.url()).pathname).toBe(`/portal/${link.id}/`);
  expect(await isUsed(link.id)).toBe(true);
  const cookies = await browser.cookies();
  expect(cookies).toHaveLength(1);
  expect(cookies[0]).toMatchObject({
    name: "ringback_portal",
    domain: names.service,
    path: `/portal/${link.id}/`,
    httpOnly: true,
    secure: true,
    sameSite: "None",
  });
  expect(JSON.stringify(cookies[0]?.partitionKey)).toContain(names.crm);

  // A form of the frame changes something, with the cookie that came back.
  await framed.goto(`${publicUrl}/portal/${link.id}/endpoints/${String(watch["endpoint_id"])}`);
  expect(await press(framed, "Pause")).toContain("Paused: nothing is sent");
  expect((await client.get(`/v1/endpoints/${String(watch["endpoint_id"])}`)).body).toMatchObject({ state: "paused" });
  expect(await client.list("/v1/audit?action=endpoint.changed")).toMatchObject([{ actor: { kind: "portal", id: link.id } }]);

  // Elsewhere, and without frame_ancestors, the frame stays empty and the link unused.
  const refused: string[] = [];
  page.on("console", (message) => void refused.push(message.text()));
  const plain = await linkTo({});
  const named = await linkTo({ frame_ancestors: [originOf(names.crm)] });
  for (const [site, { id, url }] of [
    [names.crm, plain],
    [names.other, named],
  ] as const) {
    const empty = await frame(site, url);
    await expect.poll(() => refused.splice(0).join()).toMatch(/frame-ancestors|X-Frame-Options/);
    expect([site, await textOf(empty)]).toEqual([site, expect.not.stringContaining("Open the dashboard")]);
    expect([site, await isUsed(id)]).toEqual([site, false]);
  }
});

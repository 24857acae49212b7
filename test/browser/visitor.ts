import { connect } from "puppeteer-core";
import type { Page } from "puppeteer-core";
import { expect, inject, onTestFinished } from "vitest";

/** A browser of its own, without cookies at first. It is closed with the test. */
export class Visitor {
  readonly page: Page;
  /**
   * Faults since the start: everything the browser complains of, requests to another host, answers that are no
   * success, dialogs (hostile text opens one).
   */
  readonly faults: string[] = [];
  readonly #origin: string;

  private constructor(page: Page, origin: string) {
    this.page = page;
    this.#origin = origin;
    page.on("console", (message) => {
      // Of an answer that is no success the status says more.
      if (["error", "warn"].includes(message.type()) && !message.text().startsWith("Failed to load resource"))
        this.faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => void this.faults.push(`script: ${String(error)}`));
    page.on("dialog", (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      const { origin: asked, protocol } = new URL(request.url());
      // Chromium's own pictures, as in a field for a time, are `data:`.
      if (asked !== origin && protocol !== "data:") this.faults.push(`elsewhere: ${request.url()}`);
    });
    page.on("requestfailed", (request) => {
      // A live page breaks off its stream, and perhaps a fetch of itself, when it is left.
      if (["eventsource", "fetch"].includes(request.resourceType()) && request.failure()?.errorText === "net::ERR_ABORTED") return;
      this.faults.push(`failed: ${request.url()} ${request.failure()?.errorText ?? ""}`);
    });
    page.on("response", (response) => {
      const path = pathOf(response.url());
      // Where no policy forbids it Chromium asks for a picture of its own accord, some time.
      if (response.status() >= 400 && path !== "/favicon.ico")
        this.faults.push(`${response.status()} ${response.request().method()} ${path}`);
    });
  }

  /** With an empty tab. */
  static async arrive(origin: string): Promise<Visitor> {
    const browser = await connect({ browserWSEndpoint: inject("chromiumEndpoint"), defaultViewport: { width: 1280, height: 900 } });
    const context = await browser.createBrowserContext();
    onTestFinished(async () => {
      await context.close();
      await browser.disconnect();
    });
    const page = await context.newPage();
    const visitor = new Visitor(page, origin);
    const devtools = await page.createCDPSession();
    devtools.on("Audits.issueAdded", ({ issue }) => void visitor.faults.push(`issue: ${issue.code} ${JSON.stringify(issue.details)}`));
    await devtools.send("Audits.enable");
    return visitor;
  }

  /** At the overview. */
  static async signedIn(origin: string, key: string): Promise<Visitor> {
    const visitor = await Visitor.arrive(origin);
    await visitor.open("/dashboard");
    await visitor.fill("API key", key);
    await visitor.press("button", "Sign in");
    // Who is not signed in is asked for a key with a 401.
    expect(visitor.faults.splice(0)).toEqual(["401 GET /dashboard"]);
    return visitor;
  }

  /** Types an address; the status of the answer. */
  async open(path: string): Promise<number> {
    return (await this.page.goto(`${this.#origin}${path}`))?.status() ?? 0;
  }

  /** Types into the field with that label. */
  async fill(label: string, text: string): Promise<void> {
    await this.page.locator(`::-p-aria(${label})`).fill(text);
  }

  /** Clicks on the first link or button of that name, as it is read aloud, and sees the page it leads to. */
  async press(role: "link" | "button", name: string): Promise<string> {
    await Promise.all([this.page.waitForNavigation(), this.page.locator(`::-p-aria([name="${name}"][role="${role}"])`).click()]);
    return this.text();
  }

  /** What is to be read on the page. */
  text(): Promise<string> {
    return this.evaluate<string>("document.body.innerText");
  }

  /** An expression's value in the page, in its own words: the types of this project know no document. */
  evaluate<T>(expression: string): Promise<T> {
    return this.page.evaluate(expression) as Promise<T>;
  }

  /** Path and query of the page. */
  get path(): string {
    return pathOf(this.page.url());
  }
}

function pathOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

import axe from "axe-core";
import type { SerializedAXNode } from "puppeteer-core";
import type { Visitor } from "./visitor.ts";

/** A small phone, a tablet, and a screen just wide enough for tables. */
const widthsPx = [360, 800, 1201];

/** What a person has to operate, as the accessibility tree calls it. */
const operable = new Set(["link", "button", "textbox", "combobox", "checkbox", "DateTime", "DisclosureTriangle"]);

const headings = `[...document.querySelectorAll("h1")].map((heading) => heading.innerText.trim())`;
const hasTitle = `document.title.trim() !== "" && document.documentElement.lang === "en"`;
const overflowPx = "document.documentElement.scrollWidth - document.documentElement.clientWidth";

/** Text whose contrast to what is behind it is under 4.5 to 1, as the WCAG reckons it. */
const faintText = `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => channels(colour).slice(0, 3).map((of255) => of255 / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    const colour = element === null ? "rgb(255, 255, 255)" : getComputedStyle(element).backgroundColor;
    return channels(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  return [...document.querySelectorAll("body *")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== ""))
    .filter((element) => {
      const [low, high] = [light(getComputedStyle(element).color), light(behind(element))].toSorted((a, b) => a - b);
      return (high + 0.05) / (low + 0.05) < 4.5;
    })
    .map((element) => element.innerText);
})()`;

/** What axe finds that is serious or critical. A page refreshes itself only if a person asked for that, and has a link that stops it. */
const axeFaults = (options: object) => `axe.run(document, ${JSON.stringify({ resultTypes: ["violations"], iframes: false, ...options })})
  .then(({ violations }) => violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ": " + target.join(" "))))`;
/** The other scheme has other colours, and the same of everything else. */
const axeOptions = {
  light: { rules: { "meta-refresh": { enabled: false } } },
  dark: { runOnly: { type: "rule", values: ["color-contrast", "link-in-text-block"] } },
};

/** Waits until the page has noticed another scheme, and its colours have changed. */
const hasSettled = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  .then(() => Promise.all(document.getAnimations().map(({ finished }) => finished.catch(() => undefined))))`;

/** Controls that can be seen and that the Tab key does not reach, or reaches out of order. */
const unreachable = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
  .filter((control) => control.checkVisibility() && control.tabIndex !== 0)
  .map((control) => control.outerHTML.slice(0, 80))`;

/** Latin words that run from right to left: something before them turned them round. */
const turnedWords = `(() => {
  const turned = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const { index, 0: word } of texts.currentNode.data.matchAll(/[A-Za-z]{2,}/g)) {
      const [first, last] = [index, index + word.length - 1].map((at) => {
        const range = document.createRange();
        range.setStart(texts.currentNode, at);
        range.setEnd(texts.currentNode, at + 1);
        return range.getBoundingClientRect();
      });
      if (first.top === last.top && first.left > last.left) turned.push(word);
    }
  }
  return turned;
})()`;

/** Lists what is wrong with the current page on any screen and with any reading aid, and the faults so far. */
export async function complaintsOf(visitor: Visitor): Promise<readonly string[]> {
  const { page } = visitor;
  const complaints: string[] = [];
  const titles = await visitor.evaluate<readonly string[]>(headings);
  if (titles.length !== 1 || titles[0] === "") complaints.push(`headings of the first order: ${JSON.stringify(titles)}`);
  if (!(await visitor.evaluate<boolean>(hasTitle))) complaints.push("no title, or no language");
  for (const { role } of nodesOf(await page.accessibility.snapshot()).filter(isNameless)) complaints.push(`a ${role} without a name`);
  for (const width of widthsPx) {
    await page.setViewport({ width, height: 800 });
    const beyondPx = await visitor.evaluate<number>(overflowPx);
    if (beyondPx > 0) complaints.push(`${beyondPx} px beyond ${width}`);
  }
  for (const word of await visitor.evaluate<readonly string[]>(turnedWords)) complaints.push(`turned round: ${word}`);
  for (const control of await visitor.evaluate<readonly string[]>(unreachable)) complaints.push(`out of reach of the keyboard: ${control}`);
  complaints.push(...(await axeComplaintsOf(visitor, axeOptions)));
  for (const value of ["light", "dark"] as const) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
    for (const text of await visitor.evaluate<readonly string[]>(faintText)) complaints.push(`faint when it is ${value}: ${text}`);
  }
  return [...complaints, ...visitor.faults.splice(0)];
}

/** Lists what axe finds on the current page that is serious or critical, in the light and in the dark. */
export async function axeComplaintsOf(
  visitor: Visitor,
  options: Readonly<Record<"light" | "dark", object>> = { light: {}, dark: {} },
): Promise<readonly string[]> {
  const complaints: string[] = [];
  // It runs through the debugger, so that no policy of the page keeps it out.
  await visitor.evaluate(axe.source);
  for (const value of ["light", "dark"] as const) {
    await visitor.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
    await visitor.evaluate(hasSettled);
    const faults = await visitor.evaluate<readonly string[]>(axeFaults(options[value]));
    complaints.push(...faults.map((fault) => `axe when it is ${value}: ${fault}`));
  }
  return complaints;
}

function nodesOf(node: SerializedAXNode | null): readonly SerializedAXNode[] {
  return node === null ? [] : [node, ...(node.children ?? []).flatMap(nodesOf)];
}

function isNameless({ role, name = "" }: SerializedAXNode): boolean {
  return operable.has(role) && name.trim() === "";
}

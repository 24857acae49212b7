/** One thing that happened, and what it was about: ids, URLs, SIDs. */
type TimelineEntry = { readonly atMs: number; readonly text: string | (() => string); readonly about: Names };
/** `null` and undefined name nobody; a function is asked only if the line is shown. */
type Names = readonly (string | null | undefined)[] | (() => readonly string[]);

const idPattern = /\b(acc|call|key|src|wch|plc|hk|ep|evt|dlv|att|sec|ptl|aud)_[0-9A-Za-z]+/g;
/** Cursors of lists hold ids. */
const cursorPattern = /(cursor=|after=|"next_cursor":")[\w%-]+/g;

/** All that happened in a world, in order; the same for the same seed, byte for byte. */
export class Timeline {
  readonly #entries: TimelineEntry[] = [];
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  note(text: string | (() => string), ...about: readonly (string | null | undefined)[]): void {
    this.#entries.push({ atMs: this.#nowMs(), text, about });
  }

  /** The same where it costs to say whom it is about. */
  noteOf(text: () => string, about: () => readonly string[]): void {
    this.#entries.push({ atMs: this.#nowMs(), text, about });
  }

  /** Every line. Ids are numbered in the order in which they appear: what they are made of is not the simulation's. */
  lines(): readonly string[] {
    const short = shortIds();
    return this.#entries.map((entry) => lineOf(entry, short));
  }

  /** The lines about any of these, and those about everybody. */
  linesAbout(names: readonly string[]): readonly string[] {
    const short = shortIds();
    return this.#entries.flatMap((entry) => {
      const line = lineOf(entry, short);
      const about = typeof entry.about === "function" ? entry.about() : entry.about;
      return about.length === 0 || about.some((name) => typeof name === "string" && names.includes(name)) ? [line] : [];
    });
  }
}

function lineOf({ atMs, text }: TimelineEntry, short: (text: string) => string): string {
  return `${(atMs / 1000).toFixed(3).padStart(9)}  ${short(typeof text === "function" ? text() : text)}`;
}

function shortIds(): (text: string) => string {
  const seen = new Map<string, string>();
  const counts = new Map<string, number>();
  return (text) =>
    text.replaceAll(cursorPattern, "$1…").replaceAll(idPattern, (id, prefix: string) => {
      let name = seen.get(id);
      if (name === undefined) {
        const count = (counts.get(prefix) ?? 0) + 1;
        counts.set(prefix, count);
        name = `${prefix}_${count}`;
        seen.set(id, name);
      }
      return name;
    });
}

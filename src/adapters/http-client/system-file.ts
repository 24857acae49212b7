import { readFileSync, statSync } from "node:fs";

const lookEveryMs = 100;

/** Small configuration file of the system. It may be written or replaced at any time. An absent file is read as empty. */
export class SystemFile {
  readonly #path: string;
  readonly #monotonicMs: () => number;
  #lookedAtMs = -Infinity;
  #mark = "";
  #text: string | null = null;

  constructor(path: string, monotonicMs: () => number = () => performance.now()) {
    this.#path = path;
    this.#monotonicMs = monotonicMs;
  }

  /** Text that differs after every change of the file. Reads the disk at most ten times a second. */
  get mark(): string {
    const nowMs = this.#monotonicMs();
    if (nowMs - this.#lookedAtMs < lookEveryMs) return this.#mark;
    this.#lookedAtMs = nowMs;
    const mark = markOf(this.#path);
    if (mark !== this.#mark) this.#text = null;
    this.#mark = mark;
    return mark;
  }

  /** Lines of the file as lists of words, without comments (from `#` or `;` on). */
  get lines(): readonly (readonly string[])[] {
    const { mark } = this;
    if (this.#text === null) this.#text = mark === "" ? "" : textOf(this.#path);
    return this.#text.split("\n").map((line) =>
      line
        .replace(/[#;].*/, "")
        .split(/\s+/)
        .filter((word) => word !== ""),
    );
  }
}

function markOf(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch {
    return "";
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

import type { Terminal } from "./command.ts";

const linesEveryMs = 2000;
const drawsEveryMs = 100;

/** Flag of commands whose work may take long. */
export const progressFlag = "progress";
export const progressUsage =
  "  --progress           say on standard error how far it is, a line every 2 s; on a terminal it does so by itself";

/**
 * Shows the progress of long work on standard error: on a terminal in one line that is drawn again, with `--progress` in a line
 * for each step, otherwise not at all. Disposal clears the line.
 */
export class Progress implements Disposable {
  readonly #terminal: Terminal;
  readonly #isAsked: boolean;
  #saidAtMs = -Infinity;

  constructor(terminal: Terminal, isAsked: boolean) {
    this.#terminal = terminal;
    this.#isAsked = isAsked;
  }

  /** Whether anything is shown, so that nothing need be counted for it otherwise. */
  get isShown(): boolean {
    return this.#isAsked || this.#terminal.progress !== undefined;
  }

  /** Shows a text, unless one was shown just before. `textOf` is called for what is shown alone. */
  say(textOf: () => string): void {
    const { progress, error } = this.#terminal;
    if (!this.isShown) return;
    const nowMs = performance.now();
    if (nowMs - this.#saidAtMs < (progress === undefined ? linesEveryMs : drawsEveryMs)) return;
    this.#saidAtMs = nowMs;
    (progress ?? error)(textOf());
  }

  [Symbol.dispose](): void {
    this.#terminal.progress?.("");
  }
}

/** Formats a part of a whole: `1,200 of 5,000 rows (24 %)`. */
export function partOf(done: number, total: number, unit: string): string {
  const percent = total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
  return `${done.toLocaleString("en")} of ${total.toLocaleString("en")} ${unit} (${percent} %)`;
}

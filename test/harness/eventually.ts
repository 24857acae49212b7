import { setTimeout as wait } from "node:timers/promises";

/** Asks until it is so, ten times a second; for what tells nobody that it has changed. */
export async function eventually<T>(ask: () => Promise<T>, isSo: (value: T) => boolean, mostTries = 150): Promise<T> {
  for (let tries = 0; ; tries++) {
    const value = await ask();
    if (isSo(value)) return value;
    if (tries >= mostTries) throw new Error(`still ${JSON.stringify(value).slice(0, 500)}`);
    await wait(100);
  }
}

import { setTimeout as wait } from "node:timers/promises";

const everyMs = 50;

/** Asks until the answer is as it should be, for at most `timeoutMs`. For changes that the test is not notified of. */
export async function eventually<T>(ask: () => Promise<T>, isDone: (answer: T) => boolean, timeoutMs = 20_000): Promise<T> {
  for (const deadlineMs = performance.now() + timeoutMs; ; await wait(everyMs)) {
    const answer = await ask();
    if (isDone(answer)) return answer;
    if (performance.now() > deadlineMs) throw new Error(`after ${timeoutMs} ms still ${JSON.stringify(answer).slice(0, 500)}`);
  }
}

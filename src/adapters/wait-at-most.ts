import { setTimeout as sleep } from "node:timers/promises";

/** Waits for `work` for at most `timeoutMs`. Used at shutdown, where an unresponsive server would block it. Never rejects. */
export async function waitAtMost(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([work, sleep(timeoutMs, null, { signal: timer.signal })]).catch(() => undefined);
  timer.abort();
}

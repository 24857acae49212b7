/** Waits for `work` for at most `timeoutMs`. Used at shutdown, where an unresponsive server would block it. Never rejects. */
export async function waitAtMost(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([
    late,
    work.then(
      () => undefined,
      () => undefined,
    ),
  ]);
  clearTimeout(timer);
}

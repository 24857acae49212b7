/** Waits for it, but not longer: a server that does not answer any more does not answer a good-bye either. Never rejects. */
export async function waitAtMost(patienceMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs);
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

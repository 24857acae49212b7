/** Returns SQLite's primary result code of an error of node:sqlite; `null` for any other error. */
export function resultCodeOf(error: unknown): number | null {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : null;
}

/** SQLITE_BUSY: another process (the command line, a backup) or a checkpoint held a lock for longer than the timeout. */
export const busyCode = 5;

/** Result codes of a failed database: read-only, I/O error, corruption, disk full, cannot be opened, not a database. */
const fatalCodes = new Set([8, 10, 11, 13, 14, 26]);

export function isFatalCode(resultCode: number | null): boolean {
  return resultCode !== null && fatalCodes.has(resultCode);
}

/**
 * Writes a column so that no index on it is used. Most rows meet the condition on this column, while few meet another
 * condition. (A watch has few deliveries, but a million deliveries may be pending.)
 */
export function unindexed(column: string): string {
  return `(${column} || '')`;
}

/** Compares a status without the use of an index. */
export function isStatus(column: string, status: string): string {
  return `${unindexed(column)} = '${status}'`;
}

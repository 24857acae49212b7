/** Time for which a cursor lives at least, if the retention time is shorter. */
const leastLifeMs = 7 * 86_400_000;
/** Maximum number of epochs: a service that restarts every 4 minutes has as many in 30 days. */
const epochLimit = 10_000;

/**
 * SQL condition: an epoch that can be deleted. Every cursor of it was handed out before the retention time, because a later
 * epoch is older than that, or `epochLimit` later ones exist. Only the oldest ones are deleted: the end of an epoch is the
 * begin of the next one, so a gap would make cursors of before a restore valid. `?1` is `epochsBefore` of the run.
 */
export const isOldEpoch = `id < (select max(id) from feed_epochs where created_at < ?1) or id <= (select max(id) - ${epochLimit} from feed_epochs)`;

export function epochsBefore({ beforeMs, nowMs }: { readonly beforeMs: number; readonly nowMs: number }): number {
  return Math.min(beforeMs, nowMs - leastLifeMs);
}

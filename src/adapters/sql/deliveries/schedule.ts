import type { SqlTransaction } from "../queries.ts";

/** Moves every due time back by `deltaMs`, the amount by which the clock was ahead. */
export async function moveSchedule(tx: SqlTransaction, deltaMs: number): Promise<void> {
  await tx.run(
    `update deliveries set next_attempt_at = next_attempt_at - ?1, due_at = due_at - ?1, first_attempt_at = first_attempt_at - ?1,
       first_failed_at = first_failed_at - ?1, scheduled_at = scheduled_at - ?1 where status = 'pending'`,
    deltaMs,
  );
  await tx.run(
    `update endpoints set next_due_at = next_due_at - ?1, paused_until = paused_until - ?1, paused_since = paused_since - ?1,
       failing_since = failing_since - ?1, recovered_at = recovered_at - ?1`,
    deltaMs,
  );
  await tx.run(
    `update hosts set next_due_at = next_due_at - ?1, failing_due_at = failing_due_at - ?1, paused_until = paused_until - ?1,
       paused_since = paused_since - ?1`,
    deltaMs,
  );
}

import { StoreUnavailableError } from "../../src/domain/errors.ts";
import type { CounterCorrection, CounterStore } from "../../src/ports/stores/service-store.ts";

/** Counts everything once; the corrections that it took. */
export async function recountAll(store: CounterStore): Promise<readonly CounterCorrection[]> {
  for (;;) {
    const { done, corrections } = await store.recountPortion();
    if (done) return corrections;
  }
}

/** Fails the test if a counter of the store differs from the rows: an operation of the test did not count what it wrote. */
export async function expectCountersRight(store: CounterStore): Promise<void> {
  const corrections = await recountAll(store).catch((error: unknown) => {
    // The test ended with a store that was closed, or that it broke.
    if (error instanceof StoreUnavailableError) return [];
    throw error;
  });
  expectNoCorrections(corrections);
}

export function expectNoCorrections(corrections: readonly CounterCorrection[]): void {
  if (corrections.length > 0) throw new Error(`counters differ from their rows: ${JSON.stringify(corrections)}`);
}

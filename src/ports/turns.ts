/** Turns of the event loop for long computations, so that a large request of one account does not hold up all others. */
export interface Turns {
  /** Resolves in the account's next turn of the event loop, for a computation that is not made of items. */
  next(accountId: string): Promise<void>;
  /**
   * Maps items in slices of at most 25, which end after 2 ms, each in a turn of the event loop that no other such slice has; accounts take turns.
   * What fits into one slice is mapped at once. Rejects with what `map` throws.
   */
  map<Item, Result>(accountId: string, items: readonly Item[], map: (item: Item, index: number) => Result): Promise<readonly Result[]>;
}

import type { SourceSettings } from "../../domain/sources/source-settings.ts";

/** A source that the operator set by the command line. Names are unique over all accounts: metrics and events say no more than the name. */
export type StoredSource = SourceSettings & {
  readonly id: string;
  readonly name: string;
  /** Who may use it; null: everybody. */
  readonly accountId: string | null;
  /** Sealed with identity = the source's id + `:credential`. */
  readonly sealedCredential: Uint8Array;
  /** Grows with every change; 1 at first. */
  readonly revision: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
};

export type SourceDraft = Omit<StoredSource, "revision" | "createdAtMs" | "updatedAtMs"> & { readonly nowMs: number };

export interface SourceStore {
  /** All of them, by name. A running service asks every few seconds, so this must be cheap; they are few. */
  listSources(): Promise<readonly StoredSource[]>;
  /**
   * Makes a source (`expectedRevision` null) or changes the one that was read at this revision. `conflict`: the name was
   * taken or the source changed meanwhile, and nothing was written.
   */
  setSource(
    draft: SourceDraft,
    expectedRevision: number | null,
  ): Promise<{ readonly kind: "set"; readonly source: StoredSource } | { readonly kind: "conflict" }>;
}

import type { SourceSettings } from "../../domain/sources/source-settings.ts";

/** A source that the operator set. Names are unique over all accounts, because metrics and events contain only the name. */
export type StoredSource = SourceSettings & {
  readonly id: string;
  readonly name: string;
  /** The account that may use it; `null` for all. */
  readonly accountId: string | null;
  /** Sealed with the associated data `<source id>:credential`. */
  readonly sealedCredential: Uint8Array;
  /** Starts at 1 and grows with every change. */
  readonly revision: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
};

export type SourceDraft = Omit<StoredSource, "revision" | "createdAtMs" | "updatedAtMs"> & { readonly nowMs: number };

/** Sources that the operator set. */
export interface SourceStore {
  /** Lists all sources by name. A running service calls this every few seconds. */
  listSources(): Promise<readonly StoredSource[]>;
  /**
   * Creates a source (`expectedRevision` is `null`) or changes the one that was read at this revision. `conflict` if the
   * name is taken or the source changed meanwhile; then nothing was written.
   */
  setSource(
    draft: SourceDraft,
    expectedRevision: number | null,
  ): Promise<{ readonly kind: "set"; readonly source: StoredSource } | { readonly kind: "conflict" }>;
}

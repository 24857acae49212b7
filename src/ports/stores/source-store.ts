import type { Actor } from "../../domain/audit.ts";
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
  /** When it was removed; `null` while it is in use. The name stays taken until retention deletes the source. */
  readonly removedAtMs: number | null;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
};

export type SourceDraft = Omit<StoredSource, "revision" | "removedAtMs" | "createdAtMs" | "updatedAtMs"> & {
  readonly by: Actor | null;
  readonly nowMs: number;
};

export type RemoveSourceResult =
  | { readonly kind: "removed"; readonly activeWatches: number }
  | { readonly kind: "busy"; readonly activeWatches: number; readonly placings: number }
  | { readonly kind: "unknown" };

/** Sources that the operator set. */
export interface SourceStore {
  /** Lists all sources by name, removed ones too. A running service calls this every few seconds. */
  listSources(): Promise<readonly StoredSource[]>;
  /**
   * Creates a source (`expectedRevision` is `null`) or changes the one that was read at this revision. `conflict` if the
   * name is taken or the source changed or was removed meanwhile; then nothing was written.
   */
  setSource(
    draft: SourceDraft,
    expectedRevision: number | null,
  ): Promise<{ readonly kind: "set"; readonly source: StoredSource } | { readonly kind: "conflict" }>;
  /**
   * Removes a source. `busy` if watches on its calls are active or calls are being placed with it, unless `force` is set; then
   * nothing was written. A running service ends the watches of a removed source as lost.
   */
  removeSource(request: {
    readonly name: string;
    readonly force: boolean;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<RemoveSourceResult>;
}

import type { ServiceStore } from "./engine-adapter.ts";
import type { DiskOptions } from "./writer-host.ts";

/** A classic bug, planted on purpose: what the simulation must find. It lives here alone. */
export type Plant = {
  readonly name: string;
  readonly what: string;
  /** What is different about the disk of the n-th process. */
  readonly disk?: (processNumber: number) => Partial<DiskOptions>;
  readonly aroundStore?: (store: ServiceStore) => ServiceStore;
  readonly slowAnswers?: boolean;
  /** Replaced in the text of a source file while it is loaded. */
  readonly patch?: { readonly file: string; readonly from: string; readonly to: string };
};

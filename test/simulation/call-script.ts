/** The life of one call, from when it was triggered. */
export type CallScript = {
  readonly sid: string;
  readonly source: string;
  /** Unknown (404) until then. */
  readonly bornAtMs: number;
  readonly phases: readonly { readonly status: string; readonly reason: string; readonly forMs: number }[];
  readonly ending: { readonly status: string; readonly reason: string } | null;
  /** Unknown again so long after the phases; null: never. */
  readonly forgottenAfterMs: number | null;
  /** Always 400. */
  readonly isRejected: boolean;
};

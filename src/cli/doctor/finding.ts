import { messageOf } from "../../domain/error-text.ts";

/** Result of one check. A finding that is not ok has a remedy. */
export type Finding =
  | { readonly check: string; readonly ok: true; readonly detail: string }
  | { readonly check: string; readonly ok: false; readonly detail: string; readonly remedy: string };

export const good = (check: string, detail: string): Finding => ({ check, ok: true, detail });
export const bad = (check: string, detail: string, remedy: string): Finding => ({ check, ok: false, detail, remedy });

/** Returns the text of an error in one line. A failed connection to several addresses holds one error for each. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(reasonOf).join("; ");
  return messageOf(error).replaceAll(/\s*\n\s*/g, "; ");
}

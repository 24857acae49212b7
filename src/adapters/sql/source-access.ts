import { sandboxSourceName } from "../../domain/sources/sandbox.ts";
import { defaultSourceName } from "../../domain/sources/source-settings.ts";

/**
 * Returns the SQL condition that account `a` may use a source, and its values. `placeholder` is that of the first value.
 * The condition is never true for a source that does not exist (any more).
 */
export function mayUseSource(sourceName: string, placeholder: string): { readonly condition: string; readonly values: readonly string[] } {
  if (sourceName === sandboxSourceName) return { condition: "true", values: [] };
  if (sourceName === defaultSourceName) return { condition: "a.uses_default_source", values: [] };
  return {
    condition: `exists (select 1 from sources s where s.name = ${placeholder} and s.removed_at is null and (s.account_id is null or s.account_id = a.id))`,
    values: [sourceName],
  };
}

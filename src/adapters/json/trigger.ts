import type { CallBody, CallFault } from "../../ports/call-trigger.ts";
import type { TriggerProtocol } from "../../ports/upstream-kind.ts";
import { dropTrailingDot } from "../../domain/webhooks/http-url.ts";
import type { JsonDefinition } from "./definition.ts";
import { parsePointer, valueAt } from "./pointer.ts";
import type { Pointer } from "./pointer.ts";
import { textIn } from "./read-answer.ts";

type Trigger = NonNullable<JsonDefinition["trigger"]>;

/** Returns how the sources of a definition place calls. */
export function jsonTrigger(
  { method, url, id, to, form, allow, body: fixed }: Trigger,
  headers: Readonly<Record<string, string>>,
): TriggerProtocol {
  const target = new URL(url);
  const lookupName = target.hostname;
  dropTrailingDot(target);
  const toPath = parsePointer(to) ?? [];
  const idPath = parsePointer(id) ?? [];
  const contentType = form ? "application/x-www-form-urlencoded" : "application/json";
  return {
    prepare(call) {
      const faults = faultsOf(call, { allow, form, toPath });
      if (faults.length > 0) return { kind: "invalid", faults };
      const whole = merged(call, fixed);
      return {
        kind: "request",
        number: String(valueAt(whole, toPath)),
        numberPath: toPath,
        hasCountryCode: false,
        request: {
          origin: target.origin,
          lookupName,
          method,
          path: `${target.pathname}${target.search}`,
          headers: { ...headers, "content-type": contentType },
          body: form
            ? new URLSearchParams(Object.entries(whole).map(([key, value]): [string, string] => [key, String(value)])).toString()
            : JSON.stringify(whole),
        },
      };
    },
    callSidOf: (answer) => textIn(answer, idPath),
  };
}

function faultsOf(
  call: CallBody,
  { allow, form, toPath }: { readonly allow: readonly string[]; readonly form: boolean; readonly toPath: Pointer },
): readonly CallFault[] {
  const faults: CallFault[] = [];
  for (const [key, value] of Object.entries(call)) {
    if (!allow.includes(key)) faults.push({ path: [key], detail: `is not among the keys that the source allows: ${allow.join(", ")}` });
    else if (form && typeof value === "object") faults.push({ path: [key], detail: "must be a string, number or boolean" });
  }
  const number = valueAt(call, toPath);
  if (typeof number !== "string" || number.trim() === "") faults.push({ path: toPath, detail: "must be the number to call, as a string" });
  return faults;
}

/** Adds the fixed members of a definition. They win over the client's. */
function merged(call: CallBody, fixed: CallBody): CallBody {
  const whole: Record<string, unknown> = { ...call };
  for (const [key, value] of Object.entries(fixed)) {
    const given = whole[key];
    whole[key] = isObject(given) && isObject(value) ? merged(given, value) : value;
  }
  return whole;
}

function isObject(value: unknown): value is CallBody {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

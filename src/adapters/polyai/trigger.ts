import type { SourceSettings } from "../../domain/sources/source-settings.ts";
import type { CallBody, CallFault } from "../../ports/call-trigger.ts";
import type { BaseUrlKind } from "../upstream/base-url-kind.ts";

type Settings = Pick<SourceSettings, "agentId" | "environment">;

/** The trigger of one of PolyAI's APIs. */
type PolyaiTrigger = {
  readonly path: (settings: Settings) => string;
  readonly numberKey: string;
  readonly countryCodeKey: string;
  /** Further keys of the API that hold a text. */
  readonly textKeys: readonly string[];
  /** Key of the answer that holds the SID. */
  readonly sidKey: string;
  /** Whether the request names the environment, which is the source's. */
  readonly hasEnvironment: boolean;
};

const objectKeys: ReadonlySet<string> = new Set(["metadata", "encryption"]);
const textMaxLength = 256;

export function polyaiTrigger(trigger: PolyaiTrigger): NonNullable<BaseUrlKind["trigger"]> {
  const { path, numberKey, countryCodeKey, sidKey, hasEnvironment } = trigger;
  return {
    path,
    bodyOf({ environment }, call) {
      const faults = faultsOf(trigger, environment, call);
      const body = JSON.stringify(hasEnvironment ? { ...call, environment } : call);
      return { faults, number: String(call[numberKey]), numberPath: [numberKey], hasCountryCode: call[countryCodeKey] !== undefined, body };
    },
    sidOf(answer) {
      const sid = typeof answer === "object" && answer !== null ? (answer as CallBody)[sidKey] : null;
      return typeof sid === "string" ? sid : null;
    },
  };
}

function faultsOf(
  { numberKey, countryCodeKey, textKeys, hasEnvironment }: PolyaiTrigger,
  environment: string | null,
  call: CallBody,
): readonly CallFault[] {
  const texts = new Set([numberKey, countryCodeKey, ...textKeys]);
  const detailOf = (key: string, value: unknown): string | null => {
    if (texts.has(key)) {
      const isText = typeof value === "string" && value.trim() !== "" && value.length <= textMaxLength;
      return isText ? null : `must be a string of 1 to ${textMaxLength} characters`;
    }
    if (objectKeys.has(key)) return typeof value === "object" && value !== null && !Array.isArray(value) ? null : "must be an object";
    if (!hasEnvironment || key !== "environment") return "is not a key of the trigger";
    return value === environment ? null : `must be ${environment ?? ""}, the environment of the source, or left out`;
  };
  const faults = Object.entries(call).flatMap(([key, value]) => {
    const detail = detailOf(key, value);
    return detail === null ? [] : [{ path: [key], detail }];
  });
  return call[numberKey] === undefined ? [...faults, { path: [numberKey], detail: "is required" }] : faults;
}

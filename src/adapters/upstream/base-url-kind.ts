import { StartupError } from "../../domain/errors.ts";
import type { KindSettings, SourceSettings } from "../../domain/sources/source-settings.ts";
import { statusMapChangesFrom, statusMapOf } from "../../domain/sources/status-map.ts";
import type { StatusWords } from "../../domain/sources/status-map.ts";
import { dropTrailingDot } from "../../domain/webhooks/http-url.ts";
import type { CallBody, CallFault } from "../../ports/call-trigger.ts";
import type { CalledNumber, StatusCodes, TriggerProtocol, TriggerRequest, UpstreamKind } from "../../ports/upstream-kind.ts";
import { parseJson } from "./parse-json.ts";

/** Status codes of an API that uses them as RFC 9110 describes them. */
const usualStatusCodes: StatusCodes = { notFound: [404], rejected: [400], unauthorized: [401] };

/** A kind whose sources have a base URL and one credential, and whose answers are a status and a reason. */
export type BaseUrlKind = KindSettings & {
  readonly credentialVariable: string;
  readonly credentialHeader: string;
  /** Meaning of the words of the API, besides ours. */
  readonly words: StatusWords;
  /** Returns the path (with its query) of a call's status, below the base URL. All variable parts are percent-encoded. */
  statusPath(settings: Pick<SourceSettings, "agentId" | "environment">, callSid: string): string;
  /** Reads the JSON body of a 200; `null` if it holds no status. Never throws. */
  statusOf(body: unknown): { readonly status: string; readonly reason: string } | null;
  /** The request that places a call; left out if the API places none. */
  readonly trigger?: {
    path(settings: Pick<SourceSettings, "agentId" | "environment">): string;
    /** Returns the JSON body for the `call` of a client, or its faults. */
    bodyOf(
      settings: Pick<SourceSettings, "environment">,
      call: CallBody,
    ): { readonly faults: readonly CallFault[]; readonly body: string } & CalledNumber;
    /** Reads the SID in the JSON body of a 2xx; `null` if it holds none. */
    sidOf(answer: unknown): string | null;
  };
  /** SIDs of the API, and the words for them. */
  readonly sid: { readonly pattern: RegExp; readonly description: string; readonly unknown: string };
};

const answerMaxBytes = 64 * 1024;
// Header value of RFC 9110 §5.5, without obs-text because no credential has any.
const headerValue = /^[\x20-\x7e]+$/;

/** Completes the description of a kind with a base URL. */
export function baseUrlKind(kind: BaseUrlKind): UpstreamKind {
  const { sid } = kind;
  return {
    ...kind,
    takesDefinition: false,
    protocolOf(settings, credential) {
      const base = URL.parse(settings.baseUrl.trim());
      if (base === null || !["http:", "https:"].includes(base.protocol))
        throw new StartupError("the source's base URL is not an http(s) URL");
      if (!headerValue.test(credential)) throw new StartupError("the source's credential is empty or does not fit into a header");
      const lookupName = base.hostname;
      dropTrailingDot(base);
      const prefix = base.pathname.replace(/\/+$/, "");
      const headers = { accept: "application/json", "user-agent": "Ringback", [kind.credentialHeader.toLowerCase()]: credential };
      const map = statusMapOf(kind.words, statusMapChangesFrom(settings.statusMap));
      return {
        origin: base.origin,
        lookupName,
        headers,
        pathOf: (callSid) => prefix + kind.statusPath(settings, callSid),
        answerMaxBytes,
        statusCodes: usualStatusCodes,
        read(body) {
          const read = kind.statusOf(parseJson(body));
          return read === null ? null : { word: read.status, reason: read.reason, map, isTentative: false, details: null };
        },
        sidFault: (callSid) => (sid.pattern.test(callSid) ? null : `must be ${sid.description}`),
        unknownSids: [sid.unknown],
        ...(kind.trigger === undefined
          ? {}
          : { trigger: triggerOf(kind.trigger, settings, { origin: base.origin, lookupName, prefix, headers }) }),
      };
    },
  };
}

/** Returns the trigger of a source: a POST of JSON below its base URL. */
function triggerOf(
  trigger: NonNullable<BaseUrlKind["trigger"]>,
  settings: SourceSettings,
  { prefix, headers, ...target }: Pick<TriggerRequest, "origin" | "lookupName" | "headers"> & { readonly prefix: string },
): TriggerProtocol {
  return {
    prepare(call) {
      const { faults, body, ...called } = trigger.bodyOf(settings, call);
      if (faults.length > 0) return { kind: "invalid", faults };
      const path = prefix + trigger.path(settings);
      const request = { ...target, method: "POST", path, headers: { ...headers, "content-type": "application/json" }, body } as const;
      return { kind: "request", request, ...called };
    },
    callSidOf: (answer) => trigger.sidOf(parseJson(answer)),
  };
}

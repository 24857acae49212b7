import type { KindSettings, SourceSettings } from "../domain/sources/source-settings.ts";
import type { StatusMap } from "../domain/sources/status-map.ts";
import type { CallBody, CallFault } from "./call-trigger.ts";

/**
 * Description of an upstream API: everything in which a kind of source differs from the others. Nothing outside the file of a
 * kind knows its name.
 */
export type UpstreamKind = KindSettings & {
  /** Environment variable that holds the credential of the source `default`; `null` if the environment cannot have this kind. */
  readonly credentialVariable: string | null;
  /** Header that carries the credential, spelled as the API's reference does; `null` if there is no single one. */
  readonly credentialHeader: string | null;
  /**
   * Returns how one source is polled. Throws `StartupError` if no request can be made from the settings. The error contains
   * neither an address nor a credential.
   */
  protocolOf(settings: SourceSettings, credential: string): UpstreamProtocol;
};

/** Requests of one source, and the meaning of its answers. */
export type UpstreamProtocol = {
  /** Origin without a trailing dot of the host name. */
  readonly origin: string;
  /** Host as it is written. A trailing dot makes the name absolute, so that no search domain is added. */
  readonly lookupName: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Target of the status request, with the query, if there is one. All variable parts are percent-encoded. */
  pathOf(callSid: string): string;
  /** Longest body of an answer, before and after decoding. */
  readonly answerMaxBytes: number;
  readonly statusCodes: StatusCodes;
  /** Reads the body of a 200; `null` if it holds no status. Never throws. */
  read(body: string): UpstreamReading | null;
  /** Returns why a text cannot be the SID of a call; `null` if it can. */
  sidFault(callSid: string): string | null;
  /** SIDs of calls that do not exist, for a check of the source: the first that `sidFault` accepts is polled. */
  readonly unknownSids: readonly string[];
  /** How calls are placed; left out if the source can place none. */
  readonly trigger?: TriggerProtocol;
};

/** Request that places a call. */
export type TriggerRequest = Pick<UpstreamProtocol, "origin" | "lookupName" | "headers"> & {
  readonly method: "POST" | "PUT" | "PATCH";
  readonly path: string;
  readonly body: string;
};

/** Number in a `call`, and the keys that lead to it. */
export type CalledNumber = { readonly number: string; readonly numberPath: readonly string[]; readonly hasCountryCode: boolean };

/** Triggers of one source. */
export type TriggerProtocol = {
  /** Turns the `call` of a client into the request, or says what is wrong with it. */
  prepare(
    call: CallBody,
  ):
    | ({ readonly kind: "request"; readonly request: TriggerRequest } & CalledNumber)
    | { readonly kind: "invalid"; readonly faults: readonly CallFault[] };
  /** Reads the SID in the body of a 2xx; `null` if it holds none. Never throws. */
  callSidOf(answer: string): string | null;
};

/** Status codes with the meanings of 404, 400 and 401. */
export type StatusCodes = {
  readonly notFound: readonly number[];
  readonly rejected: readonly number[];
  readonly unauthorized: readonly number[];
};

/** Status of a call, as an answer has it. */
export type UpstreamReading = {
  /** The upstream's word, as it came. */
  readonly word: string;
  /** "" if the answer has none. */
  readonly reason: string;
  /** Map in which the word is looked up. */
  readonly map: StatusMap;
  /** Whether a word that ends the call counts only if two polls in a row find such a word. */
  readonly isTentative: boolean;
  /** JSON object of the details; `null` if the source reads none. */
  readonly details: string | null;
};

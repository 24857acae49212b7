import type { KindSettings, SourceSettings } from "../domain/sources/source-settings.ts";

/** Description of an upstream API: everything in which a kind of source differs from the others. */
export type UpstreamKind = KindSettings & {
  /** Environment variable that holds the credential of the source `default`. */
  readonly credentialVariable: string;
  /** Header that carries the credential, spelled as the API's reference does. */
  readonly credentialHeader: string;
  /** Returns the path (with its query) of a call's status, below the base URL. All variable parts are percent-encoded. */
  statusPath(settings: Pick<SourceSettings, "agentId" | "environment">, callSid: string): string;
  /** Reads the JSON body of a 200; `null` if it holds no status. Never throws. */
  statusOf(body: unknown): UpstreamStatus | null;
};

/**
 * Status of a call. `status` is one of the words of `domain/calls/call-status.ts`; any other word becomes `call.other`.
 * `reason` is "" if the answer has none.
 */
export type UpstreamStatus = { readonly status: string; readonly reason: string };

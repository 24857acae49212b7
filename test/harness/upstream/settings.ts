import { prepareSource } from "../../../src/adapters/json/prepare-source.ts";
import { protocolOf } from "../../../src/adapters/upstream/kinds.ts";
import type { SourceSettings } from "../../../src/domain/sources/source-settings.ts";
import type { UpstreamProtocol } from "../../../src/ports/upstream-kind.ts";

export type GivenSettings = Partial<SourceSettings> & { readonly credential?: string };

/** Settings of a source of PolyAI's older API, unless `given` says otherwise. */
export function sourceSettings(given: Partial<SourceSettings> = {}): SourceSettings {
  return {
    kind: "polyai-legacy",
    baseUrl: "https://api.us-1.platform.polyai.app",
    agentId: null,
    environment: null,
    definition: null,
    statusMap: null,
    maxPollsPerSecond: 200,
    ...given,
  };
}

/** How such a source is polled. */
export function sourceProtocol({ credential = "s3cr3t", ...given }: GivenSettings = {}): UpstreamProtocol {
  return protocolOf(sourceSettings(given), credential);
}

/** How a `json` source with this definition is polled. */
export function jsonProtocol(file: object, statusMap: string | null = null): UpstreamProtocol {
  const prepared = prepareSource(JSON.stringify(file), { texts: {}, headers: {} });
  if (prepared.kind === "invalid") throw new Error(JSON.stringify(prepared.faults));
  const { definition, credential, baseUrl } = prepared.source;
  return protocolOf(sourceSettings({ kind: "json", baseUrl, definition, statusMap }), credential);
}

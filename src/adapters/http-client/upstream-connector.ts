import type { buildConnector } from "undici";
import { OriginDialler } from "./dialler.ts";
import type { UpstreamNames } from "./upstream-names.ts";

/** Less than the time of a poll, so that a host that drops packets does not occupy sockets after their polls have ended. */
const connectLimitMs = 5000;

/** Returns the connector of an upstream. `lookupName` is the host as it is written: a trailing dot makes the name absolute. */
export function upstreamConnector(names: UpstreamNames, lookupName: string): buildConnector.connector {
  const dialler = new OriginDialler({ resolve: () => names.resolve(lookupName), limitMs: connectLimitMs });
  return (target, callback) => dialler.dial(target, callback);
}

import type { buildConnector } from "undici";
import { OriginDialler } from "./dialler.ts";
import type { UpstreamNames } from "./upstream-names.ts";

/** Less than a poll has, so that a host that swallows packets does not keep its sockets busy for polls long over. */
const connectLimitMs = 5000;

/** Connects to an upstream. `lookupName` is its host as it is written: with a dot at its end the name is absolute. */
export function upstreamConnector(names: UpstreamNames, lookupName: string): buildConnector.connector {
  const dialler = new OriginDialler({ resolve: () => names.resolve(lookupName), limitMs: connectLimitMs });
  return (target, callback) => dialler.dial(target, callback);
}

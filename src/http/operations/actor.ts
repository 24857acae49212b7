import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { Actor } from "../../domain/audit.ts";
import type { ApiKey } from "../../ports/stores/account-store.ts";

/** Longest text of `X-Forwarded-For` that is kept. */
const maxForwardedFor = 256;

/** Peer of a request. Stands in the bindings of a request that the service sends to its own app in place of its peer's. */
export type Peer = { readonly peer: string | null };

export function peerOf(c: Context): Peer {
  const bindings = c.env as Partial<HttpBindings & Peer> | undefined;
  return { peer: bindings?.peer ?? bindings?.incoming?.socket.remoteAddress ?? null };
}

/** Returns who sends a request: its key, by the API or by a session of the dashboard. */
export function actorOf(c: Context, kind: "key" | "dashboard" = "key"): Actor {
  const { id, name } = c.get("key") as ApiKey;
  return {
    // A session of a portal has its link in place of a key.
    kind: id.startsWith("ptl_") ? "portal" : kind,
    id,
    name,
    address: peerOf(c).peer,
    forwardedFor: c.req.header("x-forwarded-for")?.slice(0, maxForwardedFor) ?? null,
  };
}

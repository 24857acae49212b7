import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { request as forward } from "node:http";
import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { selfSigned } from "../harness/receivers/self-signed.ts";
import type { Identity } from "../harness/receivers/self-signed.ts";

/** Certificate for some names, and the hash of its key, by which a browser can be made to accept it. */
export function identityFor(...names: readonly string[]): Identity & { readonly keyHash: string } {
  const identity = selfSigned(...names);
  const key = new X509Certificate(identity.cert).publicKey.export({ type: "spki", format: "der" });
  return { ...identity, keyHash: createHash("sha256").update(key).digest("base64") };
}

/** Listens on TLS until the test ends; resolves with the port. */
export async function listenOverTls(identity: Identity, listener: RequestListener): Promise<number> {
  const server = createServer(identity, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => void server.close(() => resolve()));
  });
  return (server.address() as AddressInfo).port;
}

/** Passes requests on over plain http, as a proxy in front of the service does that ends TLS. `targetOf` is asked at each request. */
export function passingOn(targetOf: () => string): RequestListener {
  return (incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const { hostname, port } = new URL(targetOf());
    const passed = forward({ hostname, port, method, path: url, headers: { ...headers, "x-forwarded-proto": "https" } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    passed.on("error", () => outgoing.destroy());
    incoming.pipe(passed);
  };
}

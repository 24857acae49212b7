import { once } from "node:events";
import { createServer, isIP } from "node:net";
import { request } from "undici";
import { NameResolver } from "../../adapters/http-client/name-resolver.ts";
import { DnsFailure } from "../../adapters/http-client/dns-failure.ts";
import type { Config } from "../../service/config.ts";
import { bad, good, reasonOf } from "./finding.ts";
import type { Finding } from "./finding.ts";

/** A name that always exists (RFC 2606). */
const knownName = "example.com";
/** An answer of the server: the name, or its records, do not exist. */
const answerCodes: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA"]);

/** Checks that the name servers answer, because every callback URL with a name needs them. */
export async function checkNames({ callbacks, source }: Pick<Config, "callbacks" | "source">): Promise<Finding> {
  const resolver = new NameResolver({ servers: callbacks.dnsServers });
  const hostname = source !== null && "baseUrl" in source ? URL.parse(source.baseUrl)?.hostname : undefined;
  const name = hostname === undefined || isIP(hostname) !== 0 || !hostname.includes(".") ? knownName : hostname;
  const servers = callbacks.dnsServers.length === 0 ? "the system's name servers" : callbacks.dnsServers.join(", ");
  try {
    const addresses = await resolver.resolve(name);
    return good("dns", `${servers} answered: ${name} has ${addresses.length} ${addresses.length === 1 ? "address" : "addresses"}`);
  } catch (error) {
    if (error instanceof DnsFailure && answerCodes.has(error.code)) return good("dns", `${servers} answered: ${name} has no address`);
    return bad("dns", `${servers} did not answer: ${reasonOf(error)}`, "name servers that can be reached from here in DNS_SERVERS");
  } finally {
    resolver.close();
  }
}

/** Checks that the ports are free, or held by a service that runs here. */
export async function checkPorts({ api, metrics }: Pick<Config, "api" | "metrics">): Promise<readonly Finding[]> {
  return Promise.all([
    checkPort("PORT", "HOST", api, "/healthz", '"status":"ok"'),
    ...(metrics.port === 0 ? [] : [checkPort("METRICS_PORT", "METRICS_HOST", metrics, "/metrics", "ringback_build_info")]),
  ]);
}

async function checkPort(
  variable: string,
  hostVariable: string,
  { port, host }: { readonly port: number; readonly host: string },
  path: string,
  mark: string,
): Promise<Finding> {
  const check = `port ${port}`;
  const server = createServer();
  try {
    const listening = once(server, "listening");
    server.listen(port, host);
    await listening;
    server.close();
    return good(check, `free on ${host}`);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code !== "EADDRINUSE")
      return bad(check, `cannot be opened on ${host}: ${reasonOf(error)}`, `another ${variable} or ${hostVariable}`);
    if (await answersWith(port, host, path, mark)) return good(check, "a service of ours runs here");
    return bad(check, `another program has it on ${host}`, `another ${variable}, or end that program`);
  }
}

async function answersWith(port: number, host: string, path: string, mark: string): Promise<boolean> {
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  try {
    const origin = `http://${isIP(reachable) === 6 ? `[${reachable}]` : reachable}:${port}`;
    const { body } = await request(`${origin}${path}`, { headersTimeout: 2000, bodyTimeout: 2000 });
    return (await body.text()).includes(mark);
  } catch {
    return false;
  }
}

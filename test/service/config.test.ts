import { Resolver } from "node:dns";
import { expect, test } from "vitest";
import { readConfig } from "../../src/service/config.ts";

const faultsOf = (environment: Readonly<Record<string, string>>) => {
  const result = readConfig(environment);
  return result.kind === "invalid" ? result.faults : [];
};

test("an empty environment gives the documented defaults", () => {
  const result = readConfig({ PORT: "", LOG_LEVEL: "  " });
  expect(result).toMatchObject({
    kind: "config",
    config: {
      database: { kind: "sqlite", path: "./data/ringback.db" },
      api: { port: 8080, host: "0.0.0.0", publicUrl: null },
      metrics: { port: 9091, host: "0.0.0.0" },
      source: null,
      polling: { intervalMinMs: 2000, intervalMaxMs: 5000, notFoundGraceMs: 30_000, lostAfterMs: 300_000, watchDeadlineMs: 86_400_000 },
      delivery: {
        timeoutMs: 15_000,
        maxInFlight: 512,
        endpointMaxInFlight: 32,
        hostMaxInFlight: 64,
        orderHoldMs: 60_000,
        disableAfterMs: 432_000_000,
      },
      callbacks: { allow: [], allowHttp: false, ports: [443], dnsServers: [] },
      limits: {
        apiMaxPerSecond: 1000,
        maxActiveWatches: 200_000,
        maxEndpoints: 50_000,
        maxHooks: 100,
        manualMaxInFlight: 4,
        maxWaitingRequests: 1000,
      },
      retentionDays: 30,
      logLevel: "info",
      shutdownGraceMs: 20_000,
    },
    secrets: { apiKey: null, encryptionKeys: null, postgresUrl: null, upstreamCredential: null },
  });
  if (result.kind !== "config") return;
  expect(result.config.delivery.scheduleMs).toEqual([0, 5e3, 3e5, 18e5, 72e5, 18e6, 36e6, 504e5, 72e6, 864e5]);
  expect([...result.config.delivery.hostRateLimits]).toEqual([["hooks.zapier.com", 25]]);
});

const encryptionKey = Buffer.alloc(32, 1).toString("base64");

test.each(["postgres://ringback:hunter2@db.internal:5433/ringback?sslmode=require", "postgresql:///ringback"])(
  "Postgres is asked for by its URL, which is a secret (%s)",
  (postgresUrl) => {
    const result = readConfig({ DATABASE_URL: postgresUrl, RINGBACK_ENCRYPTION_KEY: encryptionKey });
    expect(result).toMatchObject({ kind: "config", config: { database: { kind: "postgres" } }, secrets: { postgresUrl } });
    expect(JSON.stringify(result.kind === "config" ? result.config : null)).not.toContain("hunter2");
  },
);

test("Postgres needs an encryption key: no instance can make one for the others", () => {
  expect(faultsOf({ DATABASE_URL: "postgres://localhost/ringback" })).toEqual([
    "RINGBACK_ENCRYPTION_KEY: is required with Postgres, the same for every instance: 32 bytes in base64",
  ]);
});

test.each([
  ["PORT", "80a"],
  ["PORT", "65536"],
  ["METRICS_PORT", "-1"],
  ["PUBLIC_URL", "ftp://example.com"],
  ["PUBLIC_URL", "https://user:hunter2@example.com"],
  ["DATABASE_URL", "mysql://x"],
  ["DATABASE_URL", "sqlite:"],
  ["DATABASE_URL", "sqlite://data/ringback.db"],
  ["DATABASE_URL", "sqlite:////data/ringback.db"],
  ["DATABASE_URL", "postgres://"],
  ["DATABASE_URL", "postgres:ringback"],
  ["RINGBACK_API_KEY", "too-short"],
  ["RINGBACK_API_KEY", "with a space inside of the key"],
  ["POLYAI_KIND", "twilio"],
  ["POLYAI_MAX_POLLS_PER_SECOND", "0"],
  ["POLL_INTERVAL_MIN_MS", "2s"],
  ["RETRY_SCHEDULE", "0s,5"],
  ["RETRY_SCHEDULE", ","],
  ["DELIVERY_TIMEOUT_MS", "0"],
  ["HOST_RATE_LIMITS", "hooks.zapier.com"],
  ["HOST_RATE_LIMITS", "hooks.zapier.com=0"],
  ["CALLBACK_ALLOW", "10.0.0.0/33"],
  ["CALLBACK_ALLOW", "http://x"],
  ["CALLBACK_ALLOW_HTTP", "maybe"],
  ["CALLBACK_PORTS", "443,0"],
  ["DNS_SERVERS", "dns.example.com"],
  ["DNS_SERVERS", "999.1.1.1"],
  ["DNS_SERVERS", "127.0.0.1:99999"],
  ["DNS_SERVERS", "127.0.0.1:0"],
  ["DNS_SERVERS", "[::1]:"],
  ["DNS_SERVERS", "[127.0.0.1]:53"],
  ["DNS_SERVERS", "[:::1]"],
  ["WATCH_DEADLINE_MS", "604800001"],
  ["RETENTION_DAYS", "soon"],
  ["LOG_LEVEL", "loud"],
])("%s=%s is one line that names the variable and keeps the value to itself", (name, value) => {
  const faults = faultsOf({ [name]: value });
  expect(faults).toHaveLength(1);
  expect(faults[0]).toMatch(new RegExp(`^${name}: .+`));
  expect(faults[0]).not.toMatch(/\n|hunter2|too-short|with a space/);
});

test("all faults are reported at once", () => {
  expect(faultsOf({ PORT: "x", LOG_LEVEL: "y", POLYAI_BASE_URL: "z" })).toHaveLength(4);
});

test.each([
  [{ POLYAI_BASE_URL: "https://api.uk-1.platform.polyai.app" }, ["POLYAI_AUTH_TOKEN"]],
  [{ POLYAI_AUTH_TOKEN: "t" }, ["POLYAI_BASE_URL"]],
  [
    { POLYAI_KIND: "polyai-agents", POLYAI_BASE_URL: "https://api.uk.poly.ai" },
    ["POLYAI_API_KEY", "POLYAI_AGENT_ID", "POLYAI_ENVIRONMENT"],
  ],
])("half a source is refused: %j lacks %j", (environment, missing) => {
  expect(faultsOf(environment).map((fault) => fault.split(":")[0])).toEqual(missing);
});

test("a whole source of each kind is taken, its credential apart", () => {
  const legacy = readConfig({ POLYAI_BASE_URL: "https://api.uk-1.platform.polyai.app/", POLYAI_AUTH_TOKEN: "token" });
  expect(legacy).toMatchObject({
    config: { source: { kind: "polyai-legacy", maxPollsPerSecond: 200 } },
    secrets: { upstreamCredential: "token" },
  });
  const agents = readConfig({
    POLYAI_KIND: "polyai-agents",
    POLYAI_BASE_URL: "https://api.uk.poly.ai",
    POLYAI_API_KEY: "key",
    POLYAI_AGENT_ID: "agent",
    POLYAI_ENVIRONMENT: "live",
  });
  expect(agents).toMatchObject({
    config: { source: { kind: "polyai-agents", agentId: "agent", environment: "live" } },
    secrets: { upstreamCredential: "key" },
  });
  expect(JSON.stringify(agents.kind === "config" ? agents.config : null)).not.toContain('"key"');
});

test.each(["1.1.1.1", "127.0.0.1:5353", "::1", "[::1]", "[2001:db8::1]:5353", "1.1.1.1, ::1"])(
  "name servers may be given as %s",
  (servers) => {
    const result = readConfig({ DNS_SERVERS: servers });
    expect(result.kind).toBe("config");
    if (result.kind === "config") expect(() => new Resolver().setServers(result.config.callbacks.dnsServers)).not.toThrow();
  },
);

test.each([
  ["sqlite::memory:", ":memory:"],
  ["sqlite:./data/ringback.db", "./data/ringback.db"],
  ["sqlite:/data/ringback.db", "/data/ringback.db"],
  ["sqlite:///data/ringback.db", "/data/ringback.db"],
])("DATABASE_URL=%s is the file %s", (url, path) => {
  expect(readConfig({ DATABASE_URL: url })).toMatchObject({ config: { database: { kind: "sqlite", path } } });
});

test("plain http opens port 80 too, unless the ports are given", () => {
  expect(readConfig({ CALLBACK_ALLOW_HTTP: "true" })).toMatchObject({ config: { callbacks: { allowHttp: true, ports: [443, 80] } } });
  expect(readConfig({ CALLBACK_ALLOW_HTTP: "true", CALLBACK_PORTS: "8443" })).toMatchObject({ config: { callbacks: { ports: [8443] } } });
});

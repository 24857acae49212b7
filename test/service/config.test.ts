import { Resolver } from "node:dns";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { readConfig, readStoreConfig, readVariable } from "../../src/service/config.ts";

const faultsOf = (environment: Readonly<Record<string, string>>) => {
  const result = readConfig(environment);
  return result.kind === "invalid" ? result.faults : [];
};

test("an empty environment gives the documented defaults", () => {
  const result = readConfig({ PORT: "", LOG_LEVEL: "  " });
  expect(result).toMatchObject({
    kind: "config",
    config: {
      database: { kind: "sqlite", path: resolve("data/ringback.db") },
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
        maxWatchesPerCall: 100,
        maxEndpoints: 50_000,
        maxHooks: 100,
        manualMaxInFlight: 4,
        maxWaitingRequests: 1000,
        maxStoredAnswersMib: 512,
      },
      retentionDays: 30,
      logLevel: "info",
      shutdownDelayMs: 0,
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
  ["PUBLIC_URL", "https://@example.com"],
  ["PUBLIC_URL", "https://example.com/?"],
  ["PUBLIC_URL", "https://example.com/#"],
  ["PUBLIC_URL", "https:example.com"],
  ["PUBLIC_URL", "https:/example.com"],
  ["PUBLIC_URL", "https:///example.com"],
  ["PUBLIC_URL", "https:\\\\example.com"],
  ["PUBLIC_URL", "https://exam\tple.com"],
  ["HOST", "http://0.0.0.0"],
  ["HOST", "127.0.0.1:8080"],
  ["HOST", "[::1]"],
  ["HOST", "not a host"],
  ["HOST", "999.1.1.1"],
  ["METRICS_HOST", "0.0.0.0/0"],
  ["RINGBACK_ENCRYPTION_KEY", "too-short"],
  ["RINGBACK_ENCRYPTION_KEY", `${encryptionKey},`],
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
  ["HOST_RATE_LIMITS", "https://hooks.zapier.com=5"],
  ["HOST_RATE_LIMITS", "hooks.zapier.com:443=5"],
  ["HOST_RATE_LIMITS", "hooks.zapier.com/a=5"],
  ["HOST_RATE_LIMITS", "..=5"],
  ["CALLBACK_ALLOW", "10.0.0.0/33"],
  ["CALLBACK_ALLOW", "http://x"],
  ["CALLBACK_ALLOW_HTTP", "maybe"],
  ["CALLBACK_PORTS", "443,0"],
  ["CALLBACK_PORTS", ","],
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

test.each(["0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "ringback-1.example.com"])("HOST=%s is an address or a name", (host) => {
  expect(faultsOf({ HOST: host, METRICS_HOST: host })).toEqual([]);
});

test("HOST_RATE_LIMITS names hosts as callback URLs have them", () => {
  const result = readConfig({ HOST_RATE_LIMITS: "München.example=1, A_b.example.com.=2.5,127.0.0.1=3,[0::1]=4" });
  expect(result.kind === "config" && [...result.config.delivery.hostRateLimits]).toEqual([
    ["xn--mnchen-3ya.example", 1],
    ["a_b.example.com", 2.5],
    ["127.0.0.1", 3],
    ["[::1]", 4],
  ]);
});

test("every bad variable has a line of its own", () => {
  const faults = faultsOf({ PORT: "x", HOST: "a b", RINGBACK_ENCRYPTION_KEY: "hunter2", CALLBACK_PORTS: ",", RETENTION_DAY: "1" });
  expect(faults.map((fault) => fault.split(":")[0]).toSorted()).toEqual([
    "CALLBACK_PORTS",
    "HOST",
    "PORT",
    "RETENTION_DAY",
    "RINGBACK_ENCRYPTION_KEY",
  ]);
});

const warningsOf = (environment: Readonly<Record<string, string>>) => {
  const result = readConfig(environment);
  return result.kind === "config" ? result.config.warnings : result.faults.map((fault) => `refused: ${fault}`);
};
const quoted = "is in quotes, which belong to the value here: leave them out";

test.each([
  ["PORT", '"8080"'],
  ["RINGBACK_API_KEY", "'a-key-of-more-than-24-characters'"],
  ["DATABASE_URL", ' "sqlite:./data/ringback.db" '],
  ["POLYAI_AUTH_TOKEN", "“token”"],
  ["LOG_LEVEL", '""'],
  ["CALLBACK_PORTS", "`443`"],
])("a value in quotes is one line: %s", (name, value) => {
  expect(faultsOf({ POLYAI_BASE_URL: "https://a.example", POLYAI_AUTH_TOKEN: "t", [name]: value })).toEqual([`${name}: ${quoted}`]);
});

test("a quote inside a value or on one side of it belongs to it", () => {
  for (const token of ['a"b', '"ab', "ab'", `"ab'`, '"'])
    expect(faultsOf({ POLYAI_BASE_URL: "https://a.example", POLYAI_AUTH_TOKEN: token })).toEqual([]);
});

test.each([
  ["DATABASE_ULR", "DATABASE_URL"],
  ["DATABASE_URI", "DATABASE_URL"],
  ["RINGBACK_APIKEY", "RINGBACK_API_KEY"],
  ["RINGBACK_ENCRYPTION_KEYS", "RINGBACK_ENCRYPTION_KEY"],
  ["POLYAI_KNDI", "POLYAI_KIND"],
  ["LOG_LEVELS", "LOG_LEVEL"],
  ["SHUTDOWN_GRACE_SM", "SHUTDOWN_GRACE_MS"],
  ["ACCOUNT_MAX_HOOK", "ACCOUNT_MAX_HOOKS"],
])("a misspelt variable is one line that names the one meant: %s", (name, meant) => {
  expect(faultsOf({ [name]: "hunter2" })).toEqual([`${name}: is not known; ${meant} is meant, so rename or remove it`]);
  expect(faultsOf({ [name]: " " })).toEqual([]);
});

test("names of other programs are left alone, unless they have a prefix of ours", () => {
  expect(warningsOf({ HOSTS: "x", PORTS: "1", LOG_LEVL: "x", TEST_DATABASE_URL: "x", PATH: "/bin", PUBLIC_FOLDER: "x" })).toEqual([]);
  expect(warningsOf({ RINGBACK_COLOUR: "x", POLYAI_WEBHOOK: "x", XPOLYAI_A: "x", POLYAI_EMPTY: "" })).toEqual([
    "RINGBACK_COLOUR: is not known and has no effect",
    "POLYAI_WEBHOOK: is not known and has no effect",
  ]);
});

const polyai = { POLYAI_BASE_URL: "https://api.us-1.platform.polyai.app", POLYAI_AUTH_TOKEN: "s3cr3t" };

test("the status map of the source default is words and statuses, and `word=` takes one away", () => {
  const read = readConfig({ ...polyai, POLYAI_STATUS_MAP: "On-Hold=calling, done =success,busy=" });
  expect(read.kind === "config" && read.config.source?.statusMap).toBe('{"on-hold":"calling","done":"success","busy":null}');
});

test.each([
  ["SUCCESS=failure", "maps success, which always means itself"],
  ["queued=", "maps queued, which always means itself"],
  ["done=finished", 'maps "done" to none of queued, calling, success, failure'],
  ["done", "must be <word>=<status>, or <word>= to take the word away"],
])("a bad status map is one line: %s", (text, fault) => {
  expect(faultsOf({ ...polyai, POLYAI_STATUS_MAP: text })).toEqual([`POLYAI_STATUS_MAP: ${fault}`]);
});

test("no variable of another release is taken for a misspelt one", () => {
  const names =
    "RINGBACK_MAY_PLACE CALL_OVERDUE_AFTER_MS ENDPOINT_FAILING_AFTER_MS MANUAL_MAX_IN_FLIGHT " +
    "ACCOUNT_MANUAL_MAX_IN_FLIGHT ACCOUNT_MAX_WATCHES_PER_CALL ACCOUNT_MAX_STORED_ANSWERS_MIB SHUTDOWN_DELAY_MS";
  expect(faultsOf(Object.fromEntries(names.split(" ").map((name) => [name, "1"])))).toEqual([]);
});

test("service links of Kubernetes are not looked at", () => {
  const result = readConfig({
    METRICS_PORT: "tcp://10.0.0.1:9091",
    METRICS_SERVICE_HOST: "10.0.0.1",
    METRICS_SERVICE_PORT: "9091",
    METRICS_PORT_9091_TCP_ADDR: "10.0.0.1",
    RINGBACK_PORT: "tcp://10.0.0.2:8080",
    RINGBACK_SERVICE_PORT_HTTP: "8080",
    POLYAI_PORT: "udp://10.0.0.2:53",
  });
  expect(result).toMatchObject({ kind: "config", config: { metrics: { port: 9091 }, warnings: [] } });
});

test.each([
  [{ PORT: "9091" }, ["METRICS_PORT: is 9091, as PORT is: choose another one, or 0 to turn the metrics off"]],
  [{ PORT: " 9000 ", METRICS_PORT: "9000" }, ["METRICS_PORT: is 9000, as PORT is: choose another one, or 0 to turn the metrics off"]],
  [{ METRICS_PORT: "8080" }, ["METRICS_PORT: is 8080, as PORT is: choose another one, or 0 to turn the metrics off"]],
  [{ PORT: "0", METRICS_PORT: "0" }, []],
  [{ POLL_INTERVAL_MIN_MS: "6000" }, ["POLL_INTERVAL_MIN_MS: is 6000, above POLL_INTERVAL_MAX_MS (5000): set both"]],
  [{ POLL_INTERVAL_MAX_MS: "1000" }, ["POLL_INTERVAL_MIN_MS: is 2000, above POLL_INTERVAL_MAX_MS (1000): set both"]],
  [{ POLL_INTERVAL_MIN_MS: "3000", POLL_INTERVAL_MAX_MS: "3000" }, []],
  [{ POLL_FRESHNESS: "fair" }, ["POLL_FRESHNESS: must be one of learned, even"]],
  [{ POLL_FRESHNESS: "Even" }, []],
])("what does not fit together is one line that names both: %j", (environment, faults) => {
  expect(faultsOf(environment)).toEqual(faults);
});

test.each(["production", "Live", "pre release", "prerelease"])("an environment that PolyAI does not have is refused: %s", (environment) => {
  const agents = { POLYAI_KIND: "polyai-agents", POLYAI_BASE_URL: "https://a.example", POLYAI_API_KEY: "k", POLYAI_AGENT_ID: "a" };
  expect(faultsOf({ ...agents, POLYAI_ENVIRONMENT: environment })).toEqual([
    "POLYAI_ENVIRONMENT: must be sandbox, pre-release, live for polyai-agents",
  ]);
  expect(faultsOf({ ...agents, POLYAI_ENVIRONMENT: " pre-release " })).toEqual([]);
});

test.each([".", "..", "../x", "a/b", "a%2Fb", "a b", "a\tb", "a?b", "a#b", "a\\b", "a;b", "\u00e4", "x".repeat(129)])(
  "an agent that cannot be a segment of a path is refused: %j",
  (agentId) => {
    const agents = { POLYAI_KIND: "polyai-agents", POLYAI_BASE_URL: "https://a.example", POLYAI_API_KEY: "k", POLYAI_ENVIRONMENT: "live" };
    expect(faultsOf({ ...agents, POLYAI_AGENT_ID: agentId })).toEqual([
      "POLYAI_AGENT_ID: must be 1 to 128 letters, digits, _, -, ., : or ~, and neither . nor ..",
    ]);
    for (const good of ["agent", "PROJECT-1", "a.b", "...", "0b5a~x:y_z"])
      expect(faultsOf({ ...agents, POLYAI_AGENT_ID: good })).toEqual([]);
    expect(faultsOf({ ...polyai, POLYAI_AGENT_ID: agentId })).toEqual([]);
  },
);

test.each([
  "sslmode=nonsense",
  "sslmode=",
  "sslmode",
  "sslmode=allow",
  "sslmode=Require",
  "sslmode=require%20",
  "sslmode=require&sslmode=no",
  "a=b&sslmode=verify_full",
  "SSLMODE=require",
  "sslMode=verify-full",
  "%73slmode=nonsense",
  "sslmode%20=require",
  "ssl=yes",
  "ssl=",
  "SSL=true",
  "sslnegotiation=indirect",
  "uselibpqcompat=1&sslmode=require",
])("a database URL with %s is one line that names the variable and keeps the value to itself", (query) => {
  const url = `postgres://ringback:hunter2@db/ringback?${query}`;
  const faults = faultsOf({ DATABASE_URL: url, RINGBACK_ENCRYPTION_KEY: encryptionKey });
  expect(faults).toEqual([expect.stringMatching(/^DATABASE_URL: has (?:a parameter that must be written )?[a-z]+/)]);
  expect(faults[0]).not.toContain("hunter2");
  expect(readStoreConfig({ DATABASE_URL: url })).toEqual({ kind: "invalid", faults });
});

test.each(["disable", "no-verify", "prefer", "require", "verify-ca", "verify-full"])("a database URL may have sslmode=%s", (mode) => {
  const url = `postgres://ringback:hunter2@db/ringback?application_name=x&sslmode=${mode}`;
  expect(faultsOf({ DATABASE_URL: url, RINGBACK_ENCRYPTION_KEY: encryptionKey })).toEqual([]);
});

test("a public URL with a path is a warning", () => {
  expect(warningsOf({ PUBLIC_URL: "https://a.example/ringback" })).toEqual([
    "PUBLIC_URL: has a path; the API is served without one, so requests must arrive without it",
  ]);
  for (const url of ["https://a.example", "https://a.example/", "https://a.example:8443"])
    expect(warningsOf({ PUBLIC_URL: url })).toEqual([]);
});

test("a value means the same with blanks around it", () => {
  expect(readConfig({ PORT: " 8081 ", HOST: " ::1 ", LOG_LEVEL: "\tWARN\n", DATABASE_URL: " sqlite:x.db " })).toMatchObject({
    config: { api: { port: 8081, host: "::1" }, logLevel: "warn", database: { path: resolve("x.db") } },
  });
});

test("commands refuse a misspelt database too", () => {
  expect(readStoreConfig({ DATABASE_ULR: "sqlite:x.db", METRIC_PORT: "1" })).toEqual({
    kind: "invalid",
    faults: ["DATABASE_ULR: is not known; DATABASE_URL is meant, so rename or remove it"],
  });
  expect(() => readVariable("A_TOKEN", { A_TOKEN: "'t'" })).toThrow(`A_TOKEN: ${quoted}`);
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

test("a variable of the other kind has no effect, and a misspelt one of it is still a fault", () => {
  expect(warningsOf({ ...polyai, POLYAI_API_KEY: "x", POLYAI_AGENT_ID: "x" })).toEqual([
    "POLYAI_API_KEY: has no effect with POLYAI_KIND=polyai-legacy",
    "POLYAI_AGENT_ID: has no effect with POLYAI_KIND=polyai-legacy",
  ]);
  expect(faultsOf({ ...polyai, POLYAI_API_KEYS: "x" })).toEqual([
    "POLYAI_API_KEYS: is not known; POLYAI_API_KEY is meant, so rename or remove it",
  ]);
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
  ["sqlite:./data/ringback.db", resolve("data/ringback.db")],
  ["sqlite:/data/ringback.db", "/data/ringback.db"],
  ["sqlite:///data/ringback.db", "/data/ringback.db"],
])("DATABASE_URL=%s is the file %s", (url, path) => {
  expect(readConfig({ DATABASE_URL: url })).toMatchObject({ config: { database: { kind: "sqlite", path } } });
});

test("a path is relative to the folder where npm was called", () => {
  const called = { INIT_CWD: "/srv/ringback" };
  const pathOf = (environment: Readonly<Record<string, string>>) => readConfig({ ...called, ...environment });
  expect(pathOf({ DATABASE_URL: "sqlite:x.db" })).toMatchObject({ config: { database: { path: "/srv/ringback/x.db" } } });
  expect(pathOf({ DATABASE_URL: "sqlite:../x.db" })).toMatchObject({ config: { database: { path: "/srv/x.db" } } });
  expect(pathOf({ DATABASE_URL: "sqlite:/x.db" })).toMatchObject({ config: { database: { path: "/x.db" } } });
  // The default belongs to the package, from wherever its scripts are called.
  expect(pathOf({})).toMatchObject({ config: { database: { path: resolve("data/ringback.db") } } });
});

test("plain http opens port 80 too, unless the ports are given", () => {
  expect(readConfig({ CALLBACK_ALLOW_HTTP: "true" })).toMatchObject({ config: { callbacks: { allowHttp: true, ports: [443, 80] } } });
  expect(readConfig({ CALLBACK_ALLOW_HTTP: "true", CALLBACK_PORTS: "8443" })).toMatchObject({ config: { callbacks: { ports: [8443] } } });
});

import fc from "fast-check";

/** A request as it goes over the wire; `null` body: none. */
export type FuzzedRequest = {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | null;
};

/** What requests may name: things that were there at some time, so that not all of them miss. */
export type Known = { readonly ids: readonly string[]; readonly callbackUrls: readonly string[]; readonly apiKey: string };

const nasty = [
  "\0",
  "a\0b",
  "\ud800",
  "\udc00x",
  "\u{1f600}",
  "\u202e",
  "\r\nx: y",
  "__proto__",
  "constructor",
  "' or 1=1 --",
  "%00",
  "../..",
  "a".repeat(300),
  "é".repeat(1100),
];
const nastyText = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...nasty) }, fc.string({ unit: "binary", maxLength: 40 }));
const nastyNumber = fc.constantFrom(-1, 0, 0.1, 1.5, 1e21, 1e308, -0, 2 ** 53, 4_294_967_296, 1001);
const times = fc.constantFrom("2026-11-24T12:00:00Z", "2100-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "now", "");

/** As text: to write so deep a value out is what fails first. */
const nested = fc
  .tuple(fc.integer({ min: 1, max: 10_000 }), fc.constantFrom(["[", "]"], ['{"a":', "}"], ['{"metadata":[', "]}"]))
  .map(([depth, [open, close]]) => `${String(open).repeat(depth)}1${String(close).repeat(depth)}`);
const anything: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: nastyText },
  { weight: 3, arbitrary: nastyNumber },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(null, true, {}, []) },
);

const names = fc.constantFrom("terminal", "call.*", "watch.*", "call.success", "watch.lost", "endpoint.disabled", "endpoint.test", "");
const mostly = (good: fc.Arbitrary<unknown>, other: fc.Arbitrary<unknown> = anything) => fc.oneof({ weight: 12, arbitrary: good }, other);

function fieldsOf(known: Known): Readonly<Record<string, fc.Arbitrary<unknown>>> {
  const url = fc.oneof(
    { weight: 15, arbitrary: fc.constantFrom(...known.callbackUrls) },
    fc.constantFrom("https://10.0.0.1/", "http://[::1]/", "http://a", "ftp://a.example/", "http://u:p@127.0.0.1/", "http://127.0.0.1:1/"),
    nastyText,
  );
  return {
    call_sid: mostly(
      fc.nat({ max: 40 }).map((n) => `OUT-sandbox-slow-${n}`),
      fc.constantFrom("OUT-sandbox-success-1", "OUT-1", "OUT-", "out-1", ""),
    ),
    callback_url: url,
    source: mostly(fc.constant("sandbox"), fc.constantFrom("default", "a\0")),
    events: mostly(fc.constantFrom(null, ["terminal"], ["call.*"]), fc.array(names, { maxLength: 4 })),
    metadata: mostly(
      fc.dictionary(fc.constantFrom("a", "lead_id"), fc.string({ maxLength: 20 }), { maxKeys: 2 }),
      fc.dictionary(fc.oneof(fc.constantFrom("__proto__", "a/b~c"), nastyText), mostly(fc.string()), { maxKeys: 3 }),
    ),
    format: mostly(fc.constantFrom("standard", "flat", "form", "cloudevents")),
    headers: mostly(
      fc.constantFrom({}, { "x-api-key": "1" }, { Authorization: "Bearer x" }),
      fc.dictionary(fc.constantFrom("x-api-key", "Host", "a b", "X-A", "__proto__"), mostly(fc.string()), { maxKeys: 3 }),
    ),
    signing_secret: mostly(fc.constant("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), fc.constantFrom("whsec_", "whsec_c2hvcnQ=", "x")),
    expires_at: mostly(fc.constant(new Date(Date.now() + 3_600_000).toISOString()), times),
    url,
    target_url: url,
    hookUrl: url,
    event: mostly(names),
    max_in_flight: mostly(fc.integer({ min: 1, max: 1000 }), nastyNumber),
    max_per_second: mostly(fc.constantFrom(0.1, 10_000, null), nastyNumber),
    signatures: mostly(fc.constantFrom(["v1"], ["v1", "v1a"]), fc.subarray(["v1", "v1a", "v2"])),
    late: mostly(fc.constantFrom("send", "drop")),
    state: mostly(fc.constantFrom("enabled", "paused", "disabled")),
    grace_seconds: mostly(fc.integer({ min: 0, max: 604_800 }), nastyNumber),
    since: mostly(fc.constant("2026-01-01T00:00:00Z"), times),
    until: mostly(fc.constant("2036-01-01T00:00:00Z"), times),
  };
}

const bodyKeys: Readonly<Record<string, readonly string[]>> = {
  watch: ["call_sid", "callback_url", "source", "events", "metadata", "format", "headers", "signing_secret", "expires_at"],
  hook: ["url", "target_url", "hookUrl", "events", "event", "format", "headers", "signing_secret"],
  patch: ["format", "headers", "max_in_flight", "max_per_second", "signatures", "late", "state"],
  rotation: ["grace_seconds", "signing_secret"],
  recovery: ["since", "until"],
  secret: ["signing_secret"],
};

/** An object with some of the keys of its kind, most of them sound, and now and then one too many. */
function objectOf(kind: string, known: Known): fc.Arbitrary<Record<string, unknown>> {
  const fields = fieldsOf(known);
  const sound = Object.fromEntries((bodyKeys[kind] ?? []).map((key) => [key, mostly(fields[key] ?? anything)]));
  const required = kind === "watch" ? ["call_sid", "callback_url", "source"] : kind === "hook" ? ["url"] : [];
  const some = fc.record(sound, { requiredKeys: required });
  const extra = fc.dictionary(fc.oneof(fc.constantFrom("__proto__", "constructor", "a/b~c"), nastyText), anything, {
    minKeys: 1,
    maxKeys: 2,
  });
  return fc.oneof(
    { weight: 6, arbitrary: some },
    fc.tuple(some, extra).map(([object, more]) => ({ ...object, ...more })),
  );
}

function bodyOf(kind: string, known: Known): fc.Arbitrary<string | Uint8Array | null> {
  const value: fc.Arbitrary<unknown> =
    kind === "batch"
      ? fc.array(fc.oneof({ weight: 5, arbitrary: objectOf("watch", known) }, anything), { maxLength: 5 }).map((watches) => ({ watches }))
      : objectOf(kind, known);
  const text = value.map((body) => JSON.stringify(body));
  return fc.oneof(
    { weight: 12, arbitrary: text },
    // Cut off, or with something else in the middle of it.
    fc.tuple(text, fc.nat(), nastyText).map(([whole, at, other]) => whole.slice(0, at % (whole.length + 1)) + other),
    nested,
    anything.map((body) => JSON.stringify(body)),
    fc.constantFrom('{"a":1,"a":2}', "[".repeat(10_000), `{"max_per_second":1e400,"metadata":{"a":"\\ud800"}}`, "", "null", "\ufeff{}"),
    fc.uint8Array({ maxLength: 60 }),
    fc.constant(null),
  );
}

function idOf(known: Known, kind: string): fc.Arbitrary<string> {
  const fitting = kind === "OUT-" ? ["OUT-sandbox-slow-0", "OUT-sandbox-slow-1"] : known.ids.filter((id) => id.startsWith(kind));
  return fc.oneof(
    { weight: 16, arbitrary: fc.constantFrom(`${kind}_none`, ...fitting) },
    fc.constantFrom("none", ...known.ids),
    fc.constantFrom("wch_1", "%00", "wch_%00", "%zz", "..%2f..", "%ff%fe", "a.b", `dlv_${"1".repeat(80)}`),
    nastyText.map((text) => encodeURIComponent(text.toWellFormed())),
  );
}

const queryNames = [
  "limit",
  "cursor",
  "status",
  "call_sid",
  "source",
  "wait",
  "sequence",
  "purge",
  "after",
  "since",
  "type",
  "event",
  "endpoint_id",
  "x",
];
const queryValues = fc.oneof(
  fc.constantFrom(
    "0",
    "1",
    "200",
    "201",
    "-1",
    "1e3",
    "",
    "active",
    "pending",
    "true",
    "terminal,call.*",
    "OUT-1",
    "sandbox",
    "MQ",
    "d2NoXzE",
    "ep_1",
  ),
  nastyText.map((text) => encodeURIComponent(text.toWellFormed())),
  fc.constantFrom("%", "%ff", "%00", "a&a=b", "+"),
);
/** Nothing waits: a long poll is not what is tried here. */
const query = fc
  .array(fc.tuple(fc.constantFrom(...queryNames), queryValues), { maxLength: 3 })
  .map((pairs) =>
    pairs.map(([name, value]) => `${name}=${name === "wait" && value !== "0" && /^\d+$/.test(value) ? "31" : value}`).join("&"),
  )
  .map((text) => (text === "" ? "" : `?${text}`));

type Route = {
  readonly method: string;
  readonly path: (id: string) => string;
  /** What its ids begin with. */ readonly kind?: string;
  readonly body?: string;
};
const routes: readonly Route[] = [
  { method: "POST", path: () => "/v1/watches", body: "watch" },
  { method: "POST", path: () => "/v1/watches", body: "watch" },
  { method: "POST", path: () => "/v1/watches/batch", body: "batch" },
  { method: "GET", path: () => "/v1/watches" },
  { method: "GET", path: (id) => `/v1/watches/${id}`, kind: "wch" },
  { method: "DELETE", path: (id) => `/v1/watches/${id}`, kind: "wch" },
  { method: "GET", path: (id) => `/v1/watches/${id}/events`, kind: "wch" },
  { method: "GET", path: () => "/v1/events" },
  { method: "GET", path: (id) => `/v1/events/${id}`, kind: "evt" },
  { method: "GET", path: (id) => `/v1/calls/${id}`, kind: "OUT-" },
  { method: "POST", path: () => "/v1/hooks", body: "hook" },
  { method: "GET", path: () => "/v1/hooks" },
  { method: "GET", path: () => "/v1/hooks/sample" },
  { method: "GET", path: (id) => `/v1/hooks/${id}`, kind: "hk" },
  { method: "DELETE", path: (id) => `/v1/hooks/${id}`, kind: "hk" },
  { method: "GET", path: () => "/v1/endpoints" },
  { method: "GET", path: (id) => `/v1/endpoints/${id}`, kind: "ep" },
  { method: "PATCH", path: (id) => `/v1/endpoints/${id}`, kind: "ep", body: "patch" },
  { method: "POST", path: (id) => `/v1/endpoints/${id}/rotate-secret`, kind: "ep", body: "rotation" },
  { method: "POST", path: (id) => `/v1/endpoints/${id}/test`, kind: "ep", body: "none" },
  { method: "POST", path: (id) => `/v1/endpoints/${id}/recover`, kind: "ep", body: "recovery" },
  { method: "GET", path: () => "/v1/deliveries" },
  { method: "GET", path: (id) => `/v1/deliveries/${id}`, kind: "dlv" },
  { method: "POST", path: (id) => `/v1/deliveries/${id}/retry`, kind: "dlv", body: "none" },
  { method: "GET", path: () => "/v1/me" },
  { method: "PUT", path: () => "/v1/me/signing-secret", body: "secret" },
  { method: "GET", path: () => "/v1/sources" },
  { method: "GET", path: () => "/healthz" },
  { method: "GET", path: () => "/readyz" },
  { method: "GET", path: (id) => `/${id}` },
];

/** Mostly not there. */
const rare = (values: readonly string[], weight = 1) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(null) }, { weight, arbitrary: fc.constantFrom(...values) });

function headersOf(known: Known, hasBody: boolean): fc.Arbitrary<Record<string, string>> {
  return fc
    .record({
      authorization: fc.oneof(
        { weight: 20, arbitrary: fc.constant(`Bearer ${known.apiKey}`) },
        fc.constantFrom("Bearer ", "Bearer x", "Basic eDp5", "bearer", "\u00e9"),
      ),
      "content-type": fc.oneof(
        { weight: 20, arbitrary: fc.constant(hasBody ? "application/json" : null) },
        fc.constantFrom("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", ";", "multipart/form-data"),
      ),
      "idempotency-key": rare(["a", '"a"', "b", "", '"', "x y", "k".repeat(256)], 6),
      "x-request-id": rare(["job-7", "a b", "x".repeat(129)], 2),
      "content-encoding": rare(["gzip", "identity"]),
      origin: rare(["https://elsewhere.example"]),
      accept: rare(["text/html", "application/xml", "*/*"]),
      "if-none-match": rare(["*"]),
      range: rare(["bytes=0-1"]),
    })
    .map((headers) => Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== null)));
}

/** Anything a client could send, most of it nearly right. */
export function fuzzedRequest(known: Known): fc.Arbitrary<FuzzedRequest> {
  return fc.constantFrom(...routes).chain((route) =>
    fc
      .record({
        method: fc.oneof(
          { weight: 15, arbitrary: fc.constant(route.method) },
          fc.constantFrom("HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "PROPFIND"),
        ),
        id: idOf(known, route.kind ?? ""),
        search: fc.oneof({ weight: 3, arbitrary: fc.constant("") }, query),
        headers: headersOf(known, route.body !== undefined),
        body:
          route.body === undefined
            ? fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, bodyOf("watch", known))
            : bodyOf(route.body, known),
      })
      .map(({ method, id, search, headers, body }) => ({
        method,
        target: route.path(id) + search,
        headers,
        body: method === "HEAD" || method === "TRACE" ? null : body,
      })),
  );
}

const sample = (known: Known) =>
  `POST /v1/watches HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${known.apiKey}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`;

/** The bytes of a request of which a few are others, one too many or too few. */
export function fuzzedBytes(known: Known): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(), remove: fc.nat({ max: 3 }), insert: fc.uint8Array({ maxLength: 3 }) });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) =>
    changes.reduce(
      (bytes, { at, remove, insert }) => {
        const start = at % (bytes.length + 1);
        return Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)]);
      },
      Buffer.from(sample(known)),
    ),
  );
}

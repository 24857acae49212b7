import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseCallbackUrl } from "../../../src/domain/webhooks/callback-url.ts";

const https = { allowHttp: false };
const anyScheme = { allowHttp: true };

test.each<[text: string, url: string, origin: string]>([
  ["https://crm.example.com/hooks/calls", "https://crm.example.com/hooks/calls", "https://crm.example.com:443"],
  ["https://crm.example.com", "https://crm.example.com/", "https://crm.example.com:443"],
  ["https://crm.example.com:443/a", "https://crm.example.com/a", "https://crm.example.com:443"],
  ["https://crm.example.com:8443/a", "https://crm.example.com:8443/a", "https://crm.example.com:8443"],
  ["HTTPS://CRM.Example.COM/A?b=C", "https://crm.example.com/A?b=C", "https://crm.example.com:443"],
  ["https://a.example/x/../y", "https://a.example/y", "https://a.example:443"],
  ["https://a.example/x#fragment", "https://a.example/x", "https://a.example:443"],
  ["https://a.example/x#", "https://a.example/x", "https://a.example:443"],
  ["https://a.example/?token=a@b:c", "https://a.example/?token=a@b:c", "https://a.example:443"],
  ["https://a.example/users/@me", "https://a.example/users/@me", "https://a.example:443"],
  ["https://a.example?to=x@y", "https://a.example/?to=x@y", "https://a.example:443"],
  ["https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC", "https://xn--bcher-kva.example:443"],
  ["https://0x7f.1/", "https://127.0.0.1/", "https://127.0.0.1:443"],
  ["https://a.example./hook", "https://a.example/hook", "https://a.example:443"],
  ["https://A.Example.:8443/hook?x=1.", "https://a.example:8443/hook?x=1.", "https://a.example:8443"],
  ["https://a.example.", "https://a.example/", "https://a.example:443"],
  ["https://a.example%2e/", "https://a.example/", "https://a.example:443"],
  ["https://a.example。/", "https://a.example/", "https://a.example:443"],
  ["https://bücher.example.:443/", "https://xn--bcher-kva.example/", "https://xn--bcher-kva.example:443"],
  ["https://127.0.0.1./", "https://127.0.0.1/", "https://127.0.0.1:443"],
  ["https://localhost./", "https://localhost/", "https://localhost:443"],
  ["https://a.example:/x", "https://a.example/x", "https://a.example:443"],
  ["https://a.example:?x", "https://a.example/?x", "https://a.example:443"],
  ["https://[2606:4700:0:0:0:0:0:1111]:/x", "https://[2606:4700::1111]/x", "https://[2606:4700::1111]:443"],
  ["https://[2606:4700:0000::0000:1111]/x", "https://[2606:4700::1111]/x", "https://[2606:4700::1111]:443"],
  ["https://[2606:4700::1.2.3.4]/x", "https://[2606:4700::102:304]/x", "https://[2606:4700::102:304]:443"],
  ["https://[2001:DB8::1]:444/", "https://[2001:db8::1]:444/", "https://[2001:db8::1]:444"],
])("%s is kept as the parser writes it", (text, url, origin) => {
  expect(parseCallbackUrl(text, https)).toEqual({ kind: "url", url, origin, parsed: new URL(url) });
});

test.each(["https://a.example../", "https://a.example.%2E/", "https://./", "https://a..example/", "https://.a.example/"])(
  "%s has an empty label: it stays, so that the address guard refuses it",
  (text) => {
    expect(parseCallbackUrl(text, https)).toMatchObject({ kind: "url", origin: `https://${new URL(text).hostname}:443` });
  },
);

test("http is for whom it was allowed", () => {
  expect(parseCallbackUrl("http://a.example/", https)).toEqual({ kind: "invalid", detail: "must begin with https://" });
  expect(parseCallbackUrl("http://a.example/", anyScheme)).toMatchObject({ kind: "url", origin: "http://a.example:80" });
  expect(parseCallbackUrl("http://a.example:443/", anyScheme)).toMatchObject({
    origin: "http://a.example:443",
    url: "http://a.example:443/",
  });
});

test.each<[name: string, text: string, detail: string]>([
  ["nothing", "", "must begin with"],
  ["no scheme", "crm.example.com/hooks", "must begin with"],
  ["another scheme", "ftp://a.example/", "must begin with"],
  ["a script", "javascript:alert(1)", "must begin with"],
  ["a scheme that only begins alike", "https-x://a.example/", "must begin with"],
  ["no slashes", "https:a.example", "must begin with"],
  ["one slash", "https:/a.example", "must begin with"],
  ["three slashes", "https:///a.example", "must begin with"],
  ["three slashes and user info", "https:///@a.example", "must begin with"],
  ["no host", "https://", "is not a URL"],
  ["no host but a path", "https://?x", "is not a URL"],
  ["a port too high", "https://a.example:65536/", "is not a URL"],
  ["a port that is none", "https://a.example:http/", "is not a URL"],
  ["a host with a forbidden character", "https://a<b.example/", "is not a URL"],
  ["an address that is none", "https://1.2.3.4.5/", "is not a URL"],
  ["a user", "https://user@a.example/", "user name"],
  ["a user and a password", "https://user:password@a.example/", "user name"],
  ["an empty user", "https://@a.example/", "user name"],
  ["an empty user and password", "https://:@a.example/", "user name"],
  ["a space", "https://a.example/a b", "white space"],
  ["a space before", " https://a.example/", "white space"],
  ["a line break after", "https://a.example/\n", "white space"],
  ["a tab inside the scheme", "ht\ttps://a.example/", "white space"],
  ["a no-break space", "https://a.example/\u00a0", "white space"],
  ["an ideographic space", "https://a.example/\u3000", "white space"],
  ["a byte order mark", "\ufeffhttps://a.example/", "white space"],
  ["a NUL", "https://a.example/\u0000", "control characters"],
  ["DEL", "https://a.example/\u007f", "control characters"],
  ["a C1 control", "https://a.example/\u0085", "control characters"],
  ["a backslash", "https://a.example\\@b.example/", "backslashes"],
  ["a backslash in the query", "https://a.example/?a\\b", "backslashes"],
  ["too much", `https://a.example/${"a".repeat(2031)}`, "2048"],
  ["too much once it is written out", `https://a.example/${"ü".repeat(400)}`, "URL standard"],
])("refuses %s", (_, text, detail) => {
  expect(parseCallbackUrl(text, https)).toEqual({ kind: "invalid", detail: expect.stringContaining(detail) });
});

test("2,048 characters are accepted", () => {
  expect(parseCallbackUrl(`https://a.example/${"a".repeat(2030)}`, https).kind).toBe("url");
});

describe("any input", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary" }).map((rest) => `https://${rest}`),
    fc
      .tuple(fc.webUrl({ validSchemes: ["https", "http"], withQueryParameters: true, withFragments: true }), fc.string())
      .map((parts) => parts.join("")),
  );

  test("an accepted URL is accepted again unchanged, with the same origin", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const parsed = parseCallbackUrl(text, anyScheme);
        if (parsed.kind === "invalid") return;
        expect(parseCallbackUrl(parsed.url, anyScheme)).toEqual(parsed);
        const url = new URL(parsed.url);
        expect([url.username, url.password, url.hash]).toEqual(["", "", ""]);
        expect(new URL(parsed.origin).origin).toBe(url.origin);
        const port = url.port === "" ? { "https:": 443, "http:": 80 }[url.protocol] : url.port;
        expect(parsed.origin).toBe(`${url.protocol}//${url.hostname}:${port}`);
      }),
      { numRuns: 500 },
    );
  });
});

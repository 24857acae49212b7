const maxLength = 2048;
// White space, control characters (C0, DEL, C1) and backslashes: a parser would clean them away, and two parsers would do it differently.
const refusedCharacters = /[\s\\\p{Cc}]/u;

export type ParsedCallbackUrl =
  | {
      readonly kind: "url";
      /** As the WHATWG parser writes it, without a fragment. */
      readonly url: string;
      /** scheme://host:port with the port always written. */
      readonly origin: string;
      readonly hostname: string;
      readonly port: number;
    }
  | { readonly kind: "invalid"; readonly detail: string };

/** The syntax of a callback URL; whether its host may be dialled is the address guard's to say. */
export function parseCallbackUrl(text: string, options: { readonly allowHttp: boolean }): ParsedCallbackUrl {
  if (text.length > maxLength) return invalid(`must be at most ${maxLength} characters`);
  if (refusedCharacters.test(text)) return invalid("must hold no white space, control characters or backslashes");
  // Exactly two slashes: the parser would take a third, or none, for a slip and clean it away.
  const scheme = options.allowHttp ? /^https?:\/\/(?!\/)/i : /^https:\/\/(?!\/)/i;
  if (!scheme.test(text)) return invalid(options.allowHttp ? "must begin with https:// or http://" : "must begin with https://");
  const url = URL.parse(text);
  if (url === null) return invalid("is not a URL");
  // In the text, not in the parsed URL: that has forgotten an empty user name.
  if (/^[^/]*\/\/[^/?#]*@/.test(text)) return invalid("must hold no user name or password; send credentials as `headers`");
  url.hash = "";
  if (url.href.length > maxLength) return invalid(`must be at most ${maxLength} characters as the URL standard writes it`);
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return { kind: "url", url: url.href, origin: `${url.protocol}//${url.hostname}:${port}`, hostname: url.hostname, port };
}

function invalid(detail: string): ParsedCallbackUrl {
  return { kind: "invalid", detail };
}

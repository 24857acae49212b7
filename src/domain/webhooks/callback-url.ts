import { dropTrailingDot } from "./http-url.ts";

const maxLength = 2048;
// Refused: white space, control characters (C0, DEL, C1) and backslashes. Each parser removes them in its own way.
const refusedCharacters = /[\s\\\p{Cc}]/u;

export type ParsedCallbackUrl =
  | {
      readonly kind: "url";
      /** Serialised by the WHATWG URL parser, without a fragment and without a trailing dot of the host name. */
      readonly url: string;
      /** scheme://host:port, always with the port. */
      readonly origin: string;
      /** The same URL, parsed, because a parse costs 2 µs. */
      readonly parsed: URL;
    }
  | { readonly kind: "invalid"; readonly detail: string };

/** Checks the syntax of a callback URL. The address guard decides whether its host may be dialled. */
export function parseCallbackUrl(text: string, options: { readonly allowHttp: boolean }): ParsedCallbackUrl {
  if (text.length > maxLength) return invalid(`must be at most ${maxLength} characters`);
  if (refusedCharacters.test(text)) return invalid("must hold no white space, control characters or backslashes");
  // Exactly two slashes are required, because the parser would silently correct any other number.
  const scheme = options.allowHttp ? /^https?:\/\/(?!\/)/i : /^https:\/\/(?!\/)/i;
  if (!scheme.test(text)) return invalid(options.allowHttp ? "must begin with https:// or http://" : "must begin with https://");
  const url = URL.parse(text);
  if (url === null) return invalid("is not a URL");
  // The text is searched instead of the parsed URL, because the parser drops an empty user name.
  if (/^[^/]*\/\/[^/?#]*@/.test(text)) return invalid("must hold no user name or password; send credentials as `headers`");
  // An assignment parses the URL once more, and few have a fragment.
  if (text.includes("#")) url.hash = "";
  dropTrailingDot(url);
  if (url.href.length > maxLength) return invalid(`must be at most ${maxLength} characters as the URL standard writes it`);
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return { kind: "url", url: url.href, origin: `${url.protocol}//${url.hostname}:${port}`, parsed: url };
}

function invalid(detail: string): ParsedCallbackUrl {
  return { kind: "invalid", detail };
}

import type { Context } from "hono";
import { refusedForm } from "../page-error.ts";

const loopbackName = /^(?:localhost|(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i;

/**
 * Whether the request came over plain http where that is allowed: on loopback, or at the `http://` address that the
 * operator set as `PUBLIC_URL`. There a browser would not keep a `Secure` cookie. A proxy that ends TLS sets
 * `X-Forwarded-Proto`; a client that forges this header only gets the stricter cookie.
 */
export function isPlainHttpAllowed(c: Context, publicUrl: string | null): boolean {
  return !isTlsEnded(c) && (isLoopback(c) || isPlainPublicUrl(c, publicUrl));
}

function isTlsEnded(c: Context): boolean {
  return c.req.header("x-forwarded-proto")?.toLowerCase().startsWith("https") === true;
}

/**
 * Returns the referrer policy. Under `no-referrer` a browser sends `Origin: null` with a form. Over plain http outside of
 * loopback it sends no `Sec-Fetch-Site` either, so the origin of the form would be unknown. `same-origin` also sends
 * nothing to other hosts.
 */
export function referrerPolicyFor(c: Context, publicUrl: string | null): "no-referrer" | "same-origin" {
  const isPlain = !isTlsEnded(c) && (URL.parse(publicUrl ?? "")?.protocol === "http:" || isPlainHttpAllowed(c, publicUrl));
  return isPlain && !(publicUrl === null && isLoopback(c)) ? "same-origin" : "no-referrer";
}

/**
 * Refuses a form from a page of another site, or one without an origin. A page at `PUBLIC_URL` is one of ours, because a
 * proxy may rewrite the Host of its requests.
 */
export function refuseForeignForm(c: Context, publicUrl: string | null): void {
  const site = c.req.header("sec-fetch-site");
  if (site === "same-origin") return;
  const origin = c.req.header("origin");
  if (site === undefined && (origin === undefined || origin === "null"))
    throw refusedForm(
      "the browser does not say which page this form was on: open the dashboard over https or on localhost; at a plain http:// address only when PUBLIC_URL says the same address",
    );
  if (site === undefined && isOriginOf(publicUrl, c)) return;
  const originHost = URL.parse(origin ?? "")?.host ?? "";
  if (site !== undefined || originHost === "" || originHost !== hostOf(c))
    throw refusedForm("this form was sent by a page of another site");
}

function isLoopback(c: Context): boolean {
  return loopbackName.test(URL.parse(`http://${hostOf(c)}`)?.hostname ?? "");
}

function isPlainPublicUrl(c: Context, publicUrl: string | null): boolean {
  const url = publicUrl === null ? null : URL.parse(publicUrl);
  return url !== null && url.protocol === "http:" && (url.host === hostOf(c) || isOriginOf(publicUrl, c));
}

/** Whether the request comes from a page at this URL, as the browser says. */
function isOriginOf(url: string | null, c: Context): boolean {
  return url !== null && c.req.header("origin") === URL.parse(url)?.origin;
}

/** Returns host and port of the request, in the form of the URL standard. */
function hostOf(c: Context): string {
  return URL.parse(`http://${c.req.header("host") ?? new URL(c.req.url).host}`)?.host ?? "";
}

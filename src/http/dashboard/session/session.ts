import { randomBytes, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { RingbackError } from "../../../domain/errors.ts";
import type { Account } from "../../../ports/stores/account-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { isPlainHttpAllowed } from "./request-origin.ts";

/** Session of a signed-in user. Forms carry `formToken`, which a page of another site cannot read. */
export type Session = { readonly account: Account; readonly formToken: string };

/** Sealed content of the cookie. The service keeps no session state. */
type SealedSession = { readonly key: string; readonly formToken: string; readonly expiresAtMs: number };

const cookieName = "ringback_session";
const cookiePath = "/dashboard";
const sealIdentity = "dashboard-session";
const lifetimeMs = 12 * 60 * 60 * 1000;
const keyMaxLength = 512;

/**
 * Sessions of the dashboard. The cookie holds the sealed API key, which is looked up on every request, so that the
 * revocation of a key ends its sessions and its API requests at the same time. Signing out clears the cookie; a copy of the
 * cookie stays valid until its 12 hours end or the key is revoked.
 */
export class Sessions {
  readonly #dependencies: HttpDependencies;

  constructor(dependencies: HttpDependencies) {
    this.#dependencies = dependencies;
  }

  /** Signs in and sets the cookie. Returns `null` if the key is unknown or revoked. */
  async begin(c: Context, key: string): Promise<Session | null> {
    const { authentication, secretBox, clock, publicUrl } = this.#dependencies;
    if (key === "" || key.length > keyMaxLength) return null;
    const account = await authentication.findByKey(key);
    if (account === null) return null;
    const formToken = randomBytes(24).toString("base64url");
    const sealed: SealedSession = { key, formToken, expiresAtMs: clock.nowMs() + lifetimeMs };
    setCookie(c, cookieName, Buffer.from(secretBox.seal(JSON.stringify(sealed), sealIdentity)).toString("base64url"), {
      path: cookiePath,
      httpOnly: true,
      // A link from another site, as in a mail, opens the page signed in. Forms of other sites are refused by their origin.
      sameSite: "Lax",
      secure: !isPlainHttpAllowed(c, publicUrl),
      maxAge: lifetimeMs / 1000,
    });
    return { account, formToken };
  }

  /** Returns the session of the request's cookie; `null` if there is none or it has ended. */
  async resume(c: Context): Promise<Session | null> {
    const { authentication, clock } = this.#dependencies;
    const sealed = this.#open(getCookie(c, cookieName) ?? "");
    if (sealed === null || sealed.expiresAtMs <= clock.nowMs()) return null;
    const account = await authentication.findByKey(sealed.key);
    return account === null ? null : { account, formToken: sealed.formToken };
  }

  end(c: Context): void {
    deleteCookie(c, cookieName, {
      path: cookiePath,
      httpOnly: true,
      sameSite: "Lax",
      secure: !isPlainHttpAllowed(c, this.#dependencies.publicUrl),
    });
  }

  #open(cookie: string): SealedSession | null {
    if (cookie === "") return null;
    try {
      return JSON.parse(this.#dependencies.secretBox.open(Buffer.from(cookie, "base64url"), sealIdentity)) as SealedSession;
    } catch (error) {
      // The cookie is forged, or it was sealed with a key that was removed.
      if (error instanceof RingbackError) return null;
      throw error;
    }
  }
}

export function isFormTokenOf(session: Session, token: string): boolean {
  const [expected, given] = [Buffer.from(session.formToken), Buffer.from(token)];
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** Whether the request has a session cookie, valid or not. */
export function hasSessionCookie(c: Context): boolean {
  return getCookie(c, cookieName) !== undefined;
}

import { randomBytes, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { RingbackError } from "../../../domain/errors.ts";
import type { Account } from "../../../ports/stores/account-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { isPlainHttpAllowed } from "./request-origin.ts";

/** Somebody who is signed in. Forms carry `formToken`: a page of another site cannot know it. */
export type Session = { readonly account: Account; readonly formToken: string };

/** What lies sealed in the cookie; nothing of a session is kept by the service. */
type SealedSession = { readonly key: string; readonly formToken: string; readonly expiresAtMs: number };

const cookieName = "ringback_session";
const cookiePath = "/dashboard";
const sealIdentity = "dashboard-session";
const lifetimeMs = 12 * 60 * 60 * 1000;
const keyMaxLength = 512;

/**
 * Sessions of the dashboard. The cookie holds the API key, sealed: it is looked up on every request, so that a revoked
 * key ends its sessions as soon as it ends calls of the API. Signing out forgets the cookie; a copy of it would be good
 * until its 12 hours are over or the key is revoked.
 */
export class Sessions {
  readonly #dependencies: HttpDependencies;

  constructor(dependencies: HttpDependencies) {
    this.#dependencies = dependencies;
  }

  /** Signs in and sets the cookie; null: the key is unknown or revoked. */
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
      sameSite: "Strict",
      secure: !isPlainHttpAllowed(c, publicUrl),
      maxAge: lifetimeMs / 1000,
    });
    return { account, formToken };
  }

  /** The session of the request's cookie; null: there is none, or it is over. */
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
      sameSite: "Strict",
      secure: !isPlainHttpAllowed(c, this.#dependencies.publicUrl),
    });
  }

  #open(cookie: string): SealedSession | null {
    if (cookie === "") return null;
    try {
      return JSON.parse(this.#dependencies.secretBox.open(Buffer.from(cookie, "base64url"), sealIdentity)) as SealedSession;
    } catch (error) {
      // Somebody's invention, or sealed with a key that is no more.
      if (error instanceof RingbackError) return null;
      throw error;
    }
  }
}

export function isFormTokenOf(session: Session, token: string): boolean {
  const [expected, given] = [Buffer.from(session.formToken), Buffer.from(token)];
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** Whether the browser believes that it is signed in. */
export function hasSessionCookie(c: Context): boolean {
  return getCookie(c, cookieName) !== undefined;
}

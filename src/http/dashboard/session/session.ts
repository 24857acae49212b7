import { randomBytes, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { RingbackError } from "../../../domain/errors.ts";
import type { Account, ApiKey } from "../../../ports/stores/account-store.ts";
import type { FoundKey } from "../../../ports/use-cases/authentication.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { refuseDisabled } from "../../operations/request-guards.ts";
import { EndedSessions } from "./ended-sessions.ts";
import { isPlainHttpAllowed } from "./request-origin.ts";

/** Session of a signed-in user. Forms carry `formToken`, which a page of another site cannot read. */
export type Session = {
  /** `null` for a key of the operator. */
  readonly account: Account | null;
  readonly key: ApiKey;
  readonly formToken: string;
  /** Ends it on all instances, for every copy of its cookie. */
  readonly end: () => Promise<void>;
  /** Returns whether the session has not ended meanwhile. An answer that takes long asks again. */
  readonly isOpen: () => Promise<boolean>;
};

/** Sealed content of the cookie. The service keeps no session state. */
type SealedSession = {
  readonly key: string;
  readonly formToken: string;
  readonly expiresAtMs: number;
  /** `disablingsOf` what the key opens, when the session began. */
  readonly disablings: number;
};

/** Result of the look-up of a key that has not ended. */
type Opened = Exclude<FoundKey, { kind: "ended" }>;

/** Returns how often the account of a key was disabled; 0 for a key of the operator. */
function disablingsOf(found: Opened): number {
  return found.kind === "account" ? found.account.disablings : 0;
}

/** A browser takes a cookie with this prefix only with `Secure` and from https, so that no page over plain http can plant one. */
const secureCookieName = "__Secure-ringback";
const plainCookieName = "ringback_session";
const cookiePath = "/dashboard";
const sealIdentity = "dashboard-session";
const lifetimeMs = 12 * 60 * 60 * 1000;
const keyMaxLength = 512;

/**
 * Sessions of the dashboard. The cookie holds the sealed API key, which is looked up on every request, so that the
 * revocation or the end of a key ends its sessions and its API requests at the same time. A session ends for good when its account is
 * disabled, and when its user signs out.
 */
export class Sessions {
  readonly #dependencies: HttpDependencies;
  /** Whether `PUBLIC_URL` is https. */
  readonly #isPublicOverTls: boolean;
  readonly #cookieName: string;
  readonly #ended: EndedSessions;

  constructor(dependencies: HttpDependencies) {
    this.#dependencies = dependencies;
    this.#isPublicOverTls = URL.parse(dependencies.publicUrl ?? "")?.protocol === "https:";
    this.#cookieName = this.#isPublicOverTls ? secureCookieName : plainCookieName;
    this.#ended = new EndedSessions(dependencies.store, dependencies.clock);
  }

  /** Signs in and sets the cookie. Returns `null` if the key is unknown, revoked or expired. */
  async begin(c: Context, key: string): Promise<Session | null> {
    const { authentication, secretBox, clock } = this.#dependencies;
    if (key === "" || key.length > keyMaxLength) return null;
    const found = await authentication.findByKey(key);
    if (found === null || found.kind === "ended") return null;
    if (found.kind === "account") refuseDisabled(found.account);
    const formToken = randomBytes(24).toString("base64url");
    const sealed: SealedSession = { key, formToken, expiresAtMs: clock.nowMs() + lifetimeMs, disablings: disablingsOf(found) };
    setCookie(c, this.#cookieName, Buffer.from(secretBox.seal(JSON.stringify(sealed), sealIdentity)).toString("base64url"), {
      path: cookiePath,
      httpOnly: true,
      // A link from another site, as in a mail, opens the page signed in. Forms of other sites are refused by their origin.
      sameSite: "Lax",
      secure: this.#isSecure(c),
      maxAge: lifetimeMs / 1000,
    });
    return this.#sessionOf(found, sealed);
  }

  /** Returns the session of the request's cookie; `null` if there is none or it has ended. */
  async resume(c: Context): Promise<Session | null> {
    const { authentication, clock } = this.#dependencies;
    const sealed = this.#open(getCookie(c, this.#cookieName) ?? "");
    if (sealed === null || sealed.expiresAtMs <= clock.nowMs()) return null;
    const found = await authentication.findByKey(sealed.key);
    if (found === null || found.kind === "ended") return null;
    if (found.kind === "account") refuseDisabled(found.account);
    if (disablingsOf(found) !== sealed.disablings || (await this.#ended.has(sealed.formToken))) return null;
    return this.#sessionOf(found, sealed);
  }

  /** Clears the cookie of a session that has ended. */
  clearCookie(c: Context): void {
    deleteCookie(c, this.#cookieName, {
      path: cookiePath,
      httpOnly: true,
      sameSite: "Lax",
      secure: this.#isSecure(c),
    });
  }

  /** Whether the request has a session cookie, valid or not. */
  hasCookie(c: Context): boolean {
    return getCookie(c, this.#cookieName) !== undefined;
  }

  #isSecure(c: Context): boolean {
    return this.#isPublicOverTls || !isPlainHttpAllowed(c, this.#dependencies.publicUrl);
  }

  #sessionOf(found: Opened, { key, formToken, expiresAtMs, disablings }: SealedSession): Session {
    const isOpen = async () => {
      if (expiresAtMs <= this.#dependencies.clock.nowMs()) return false;
      const now = await this.#dependencies.authentication.findByKey(key);
      if (now === null || now.kind === "ended" || now.kind !== found.kind || disablingsOf(now) !== disablings) return false;
      if (await this.#ended.has(formToken)) return false;
      return now.kind !== "account" || now.account.disabledAtMs === null;
    };
    const end = () => this.#ended.end({ formToken, keyId: found.key.id, expiresAtMs });
    return { account: found.kind === "account" ? found.account : null, key: found.key, formToken, end, isOpen };
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

export function isFormTokenOf(session: Pick<Session, "formToken">, token: string): boolean {
  const [expected, given] = [Buffer.from(session.formToken), Buffer.from(token)];
  return expected.length === given.length && timingSafeEqual(expected, given);
}

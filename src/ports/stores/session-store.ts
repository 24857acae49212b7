/** Sessions of the dashboard and of portals that a user ended by signing out. All others end by themselves, with their key or with their link. */
export interface SessionStore {
  /** Ends a session for all instances; again without an effect. At most `maxEndedSessions` of a key are kept, those that end last. */
  endSession(request: { readonly sessionHash: string; readonly keyId: string; readonly expiresAtMs: number }): Promise<void>;
  /** Whether `endSession` ended the session. A session that ended by itself may be unknown, which is false. */
  isSessionEnded(sessionHash: string): Promise<boolean>;
}

/** Number of ended sessions of a key that are kept until they would have expired. Only a holder of the key can end more. */
export const maxEndedSessions = 1000;

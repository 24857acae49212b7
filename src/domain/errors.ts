/** A broken agreement with a stable code; everything else that throws is a bug and is caught once, at its loop. */
export class RingbackError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RingbackError";
    this.code = code;
  }
}

/** Nothing can be read or committed at the moment; the caller answers 503 and nothing has changed. */
export class StoreUnavailableError extends RingbackError {
  constructor(message: string, options?: ErrorOptions) {
    super("store-unavailable", message, options);
    this.name = "StoreUnavailableError";
  }
}

/**
 * This instance was taken for dead and others go on with what it held. Nothing was written; after it has joined anew the
 * same may be asked again.
 */
export class InstanceFencedError extends StoreUnavailableError {
  constructor() {
    super("this instance was taken for dead: others go on with what it held");
    this.name = "InstanceFencedError";
  }
}

/** The queue to the store is full: try again in a second; nothing has changed. */
export class StoreOverloadedError extends RingbackError {
  constructor() {
    super("store-overloaded", "the queue to the store is full");
    this.name = "StoreOverloadedError";
  }
}

/** The store could not do it at the moment, and another try may succeed. */
export function isTransientStoreError(error: unknown): error is StoreUnavailableError | StoreOverloadedError {
  return error instanceof StoreUnavailableError || error instanceof StoreOverloadedError;
}

/** A cursor that no list of ours made. */
export class CursorInvalidError extends RingbackError {
  constructor() {
    super("cursor-invalid", "the cursor was not made by this list");
    this.name = "CursorInvalidError";
  }
}

/** A start that cannot succeed until somebody changes something: one line, exit code 78. */
export class StartupError extends RingbackError {
  constructor(message: string, options?: ErrorOptions) {
    super("start-refused", message, options);
    this.name = "StartupError";
  }
}

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
export class StoreUnavailable extends RingbackError {
  constructor(message: string, options?: ErrorOptions) {
    super("store-unavailable", message, options);
    this.name = "StoreUnavailable";
  }
}

/** The queue to the store is full: try again in a second; nothing has changed. */
export class StoreOverloaded extends RingbackError {
  constructor() {
    super("store-overloaded", "the queue to the store is full");
    this.name = "StoreOverloaded";
  }
}

/** The store could not do it at the moment, and another try may succeed. */
export function isStoreTrouble(error: unknown): error is StoreUnavailable | StoreOverloaded {
  return error instanceof StoreUnavailable || error instanceof StoreOverloaded;
}

/** A cursor that no list of ours made. */
export class CursorInvalid extends RingbackError {
  constructor() {
    super("cursor-invalid", "the cursor was not made by this list");
    this.name = "CursorInvalid";
  }
}

/** A start that cannot succeed until somebody changes something: one line, exit code 78. */
export class StartRefused extends RingbackError {
  constructor(message: string, options?: ErrorOptions) {
    super("start-refused", message, options);
    this.name = "StartRefused";
  }
}

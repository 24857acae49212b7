/** A failure with a stable code. Any other thrown error is a bug; the loop that runs the code catches it. */
export class RingbackError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RingbackError";
    this.code = code;
  }
}

/** The store cannot read or commit now, and nothing has changed. Requests are answered 503. */
export class StoreUnavailableError extends RingbackError {
  constructor(message: string, options?: ErrorOptions) {
    super("store-unavailable", message, options);
    this.name = "StoreUnavailableError";
  }
}

/**
 * This instance was evicted, and others have taken over its calls and deliveries. Nothing was written. The operation may be
 * repeated after the instance has joined again.
 */
export class InstanceFencedError extends StoreUnavailableError {
  constructor() {
    super("this instance was evicted: others have taken over its calls and deliveries");
    this.name = "InstanceFencedError";
  }
}

/** The queue to the store is full, and nothing has changed. The operation may be repeated after a second. */
export class StoreOverloadedError extends RingbackError {
  constructor() {
    super("store-overloaded", "the queue to the store is full");
    this.name = "StoreOverloadedError";
  }
}

/** Whether an error of the store may be gone when the operation is repeated. */
export function isTransientStoreError(error: unknown): error is StoreUnavailableError | StoreOverloadedError {
  return error instanceof StoreUnavailableError || error instanceof StoreOverloadedError;
}

/** A cursor that does not come from the list it is used with. */
export class CursorInvalidError extends RingbackError {
  constructor() {
    super("cursor-invalid", "the cursor was not made by this list");
    this.name = "CursorInvalidError";
  }
}

/**
 * A cursor of the feed after which events would be skipped: the database was restored to a state before it, it is another
 * database's, or retention deleted events behind it.
 */
export class CursorGoneError extends RingbackError {
  constructor() {
    super("cursor-gone", "events after this cursor are gone");
    this.name = "CursorGoneError";
  }
}

/** A start that fails until the operator changes something. Shown as one line, with exit code 78. */
export class StartupError extends RingbackError {
  constructor(message: string, options?: ErrorOptions) {
    super("start-refused", message, options);
    this.name = "StartupError";
  }
}

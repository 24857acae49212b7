import * as accounts from "./accounts/accounts.ts";
import * as apiKeys from "./accounts/api-keys.ts";
import * as sources from "./accounts/sources.ts";
import { checkWritable } from "./check-writable.ts";
import * as sealedValues from "./keys/sealed-values.ts";
import * as calls from "./reading/calls.ts";
import * as storedAnswers from "./registration/stored-answers.ts";

/** Reads that are the same in both databases. */
export const reads = {
  ...accounts.reads,
  ...apiKeys.reads,
  ...calls.reads,
  ...sealedValues.reads,
  ...sources.reads,
};

/** Writes that are the same in both databases. */
export const writes = {
  ...accounts.writes,
  ...apiKeys.writes,
  checkWritable,
  ...sealedValues.writes,
  ...sources.writes,
  ...storedAnswers.writes,
};

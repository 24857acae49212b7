import * as accountState from "./accounts/account-state.ts";
import * as accountErasure from "./accounts/erasure.ts";
import * as accounts from "./accounts/accounts.ts";
import * as audit from "./audit/audit.ts";
import * as apiKeys from "./accounts/api-keys.ts";
import * as sources from "./accounts/sources.ts";
import * as statusAges from "./accounts/status-ages.ts";
import { checkWritable } from "./check-writable.ts";
import * as sealedValues from "./keys/sealed-values.ts";
import * as endedSessions from "./portal/ended-sessions.ts";
import * as portalLinks from "./portal/portal-links.ts";
import * as placings from "./placings/placings.ts";
import * as calls from "./reading/calls.ts";
import * as storedAnswers from "./registration/stored-answers.ts";

/** Reads that are the same in both databases. */
export const reads = {
  ...audit.reads,
  ...portalLinks.reads,
  ...endedSessions.reads,
  ...accounts.reads,
  ...accountState.reads,
  ...apiKeys.reads,
  ...calls.reads,
  ...placings.reads,
  ...sealedValues.reads,
  ...sources.reads,
  ...statusAges.reads,
};

/** Writes that are the same in both databases. */
export const writes = {
  ...accounts.writes,
  ...accountState.writes,
  ...accountErasure.writes,
  ...apiKeys.writes,
  checkWritable,
  ...placings.writes,
  ...sealedValues.writes,
  ...sources.writes,
  ...portalLinks.writes,
  ...endedSessions.writes,
  ...statusAges.writes,
  ...storedAnswers.writes,
};

import { answerReads } from "../../sql/registration/stored-answers.ts";

/** The start of a server clears the leases of the last one, so every lease belongs to a live process. */
export const reads = answerReads("d.lease_token", "");

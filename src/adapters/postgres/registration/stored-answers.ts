import { answerReads } from "../../sql/registration/stored-answers.ts";

/** A delivery counts as leased only while the row of the leasing instance exists. */
export const reads = answerReads("i.token", "left join instances i on i.token = d.lease_owner and d.lease_token is not null");

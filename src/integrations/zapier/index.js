import zapier from "zapier-platform-core";
import packageJson from "./package.json" with { type: "json" };
import { authentication } from "./authentication.js";
import { placeCallAndWait } from "./creates/place-call-and-wait.js";
import { watchCall } from "./creates/watch-call.js";
import { addKey, refuseProblem } from "./requests.js";
import { findCall } from "./searches/find-call.js";
import { callStatusChanged } from "./triggers/call-status-changed.js";
import { sourceList } from "./triggers/source-list.js";

export default zapier.defineApp({
  version: packageJson.version,
  platformVersion: zapier.version,
  flags: { cleanInputData: false },
  authentication,
  beforeRequest: [addKey],
  afterResponse: [refuseProblem],
  triggers: { [callStatusChanged.key]: callStatusChanged, [sourceList.key]: sourceList },
  creates: { [watchCall.key]: watchCall, [placeCallAndWait.key]: placeCallAndWait },
  searches: { [findCall.key]: findCall },
});

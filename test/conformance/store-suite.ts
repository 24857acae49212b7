import { describe } from "vitest";
import { accountsSuite } from "./accounts-suite.ts";
import { deliveriesSuite } from "./deliveries-suite.ts";
import { endpointsSuite } from "./endpoints-suite.ts";
import { hooksSuite } from "./hooks-suite.ts";
import { idempotencySuite } from "./idempotency-suite.ts";
import { lanesSuite } from "./lanes-suite.ts";
import { lifecycleSuite } from "./lifecycle-suite.ts";
import { manualSuite } from "./manual-suite.ts";
import { readingSuite } from "./reading-suite.ts";
import { registrationSuite } from "./registration-suite.ts";
import { removalSuite } from "./removal-suite.ts";
import { retentionSuite } from "./retention-suite.ts";
import { sealedSuite } from "./sealed-suite.ts";
import { sourcesSuite } from "./sources-suite.ts";
import type { StoreBackend } from "./store-backend.ts";
import { transitionsSuite } from "./transitions-suite.ts";

/** What every store must do, races included. Change a store, extend the suite. */
export function storeSuite(backend: StoreBackend): void {
  describe(`store: ${backend.name}`, () => {
    registrationSuite(backend);
    removalSuite(backend);
    transitionsSuite(backend);
    hooksSuite(backend);
    deliveriesSuite(backend);
    manualSuite(backend);
    lanesSuite(backend);
    endpointsSuite(backend);
    readingSuite(backend);
    idempotencySuite(backend);
    retentionSuite(backend);
    accountsSuite(backend);
    sourcesSuite(backend);
    sealedSuite(backend);
    lifecycleSuite(backend);
  });
}

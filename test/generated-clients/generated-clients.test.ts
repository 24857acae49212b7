import { generatedClient } from "./generated-client.ts";

// The other generator is in the long script.
generatedClient("orval");

import { generatedClient } from "./generated-client.ts";

generatedClient("@hey-api/openapi-ts");

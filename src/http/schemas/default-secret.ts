import { z } from "@hono/zod-openapi";
import { signingSecretField } from "./fields.ts";

export const defaultSecretSchema = z
  .strictObject({ signing_secret: signingSecretField }, "must be an object")
  .openapi("DefaultSecret", { example: { signing_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" } });

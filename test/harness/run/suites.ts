/** Tests of `npm run test:packages`. */
export const ofPackages = ["generated-clients", "integrations", "operations"].map((folder) => `test/${folder}/**/*.test.ts`);

/** Path of the stream that says that something of the account has changed. */
export const livePath = "/dashboard/live";

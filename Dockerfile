# syntax=docker/dockerfile:1
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM node:24-slim
ENV NODE_ENV=production \
    DATABASE_URL=sqlite:/data/ringback.db
WORKDIR /app
# npm is a build tool here: the service needs node alone, and what is not there cannot be exploited.
RUN rm -rf /usr/local/lib/node_modules/npm /usr/local/bin/npm /usr/local/bin/npx /opt/yarn* /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && mkdir /data && chown node:node /data
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src
RUN chmod 755 src/cli/ringback.mjs && ln -s /app/src/cli/ringback.mjs /usr/local/bin/ringback
USER node
VOLUME /data
EXPOSE 8080 9091
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "/app/src/service/health-check.mjs"]
# Node is PID 1: it handles SIGTERM itself and starts no child process that would need reaping, so there is no init to add.
CMD ["node", "--import", "./src/runtime-check.mjs", "src/main.ts"]

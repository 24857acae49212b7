# syntax=docker/dockerfile:1
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Of the library that shows the API reference, two files are served; the others are four fifths of its 12 MB.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force \
 && rm -f node_modules/swagger-ui-dist/*.map node_modules/swagger-ui-dist/swagger-ui-es-* node_modules/swagger-ui-dist/swagger-ui-standalone-*

FROM node:24-slim
# glibc keeps memory for each thread that allocates; two shares serve all of them.
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=2 \
    DATABASE_URL=sqlite:/data/ringback.db
LABEL org.opencontainers.image.title="ringback" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="1.0.0"
WORKDIR /app
# npm is a build tool here: the service needs node alone, and what is not there cannot be exploited.
RUN rm -rf /usr/local/lib/node_modules/npm /usr/local/bin/npm /usr/local/bin/npx /opt/yarn* /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && mkdir /data && chown node:node /data
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src
# Compiled once, for every start: the service may not write here.
RUN node --import ./src/runtime-check.mjs --input-type=module --eval 'const thread = (name) => import(`/app/src/adapters/sqlite/${name}.ts`); await Promise.all([import("/app/src/service/create-service.ts"), thread("writer-thread/worker"), thread("writer-thread/checkpoint-worker"), thread("reader-thread/worker")])'
RUN chmod 755 src/cli/ringback.mjs && ln -s /app/src/cli/ringback.mjs /usr/local/bin/ringback
USER node
VOLUME /data
EXPOSE 8080 9091
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "/app/src/service/health-check.mjs"]
# Node is PID 1: it handles SIGTERM itself and waits for its only child process (the check of the locks at the start), so there is no init to add.
CMD ["node", "--max-semi-space-size=8", "--import", "./src/runtime-check.mjs", "src/main.ts"]

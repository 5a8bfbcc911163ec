# Built from source, so that the image holds what the repository says and nothing else.
FROM node:22-bookworm-slim AS dashboard
WORKDIR /src/ui
COPY ui/package.json ui/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY ui/ ./
RUN npm run build

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=dashboard /src/ui/dist ui/dist
# The caches outlive a build; what the image needs is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package agenttracer-tools \
    && install -D --mode=755 target/release/agenttracer /out/agenttracer \
    && install --directory --mode=750 /out/data

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="AgentTracer" \
      org.opencontainers.image.description="Privacy-safe observability for AI agents" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/agenttracer /usr/local/bin/agenttracer
# A new volume takes the owner of the directory that it is mounted over.
COPY --from=build --chown=10001:10001 /out/data /data
USER 10001:10001
# A container has a network of its own, in which others can reach it: so it starts only with a key in /data.
# `docker-compose.yml` publishes the ports on 127.0.0.1 alone, and lets it start without one.
ENV AGENTTRACER_DATA_DIR=/data \
    AGENTTRACER_INGEST_ADDR=0.0.0.0:8000 \
    AGENTTRACER_QUERY_ADDR=0.0.0.0:8001 \
    AGENTTRACER_UI_ADDR=0.0.0.0:3000
VOLUME /data
EXPOSE 8000 8001 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["agenttracer", "healthcheck", "http://127.0.0.1:8000", "http://127.0.0.1:8001"]
ENTRYPOINT ["agenttracer"]
CMD ["serve"]

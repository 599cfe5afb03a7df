# syntax=docker/dockerfile:1
# The one image: every service, and every command, is `viscount` with another argument.
#
#   docker build --tag viscount:local .
#   docker build --tag viscount:local --build-arg FEATURES=kafka .     without TLS and SCRAM towards brokers; quicker

# The compiler is that of rust-toolchain.toml. Both stages are of one Debian release, hence of one libc.
FROM rust:1.95.0-slim-bookworm AS build
# perl: for OpenSSL, which the feature kafka-tls builds from source.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG FEATURES=kafka-tls
ARG TARGETPLATFORM
# What was fetched and built before is kept by BuildKit between builds: only what changed is built again. Functions keep
# their names in backtraces; lines, which are nine tenths of the program, are left out.
RUN --mount=type=cache,id=viscount-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=viscount-target-${TARGETPLATFORM},target=/src/target,sharing=locked \
    CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    cargo build --release --locked --package viscount --bin viscount --features "${FEATURES}" \
    && install -D --mode=0755 target/release/viscount /out/viscount

FROM debian:bookworm-20260812-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="viscount" \
      org.opencontainers.image.description="First Viscount: an order platform that does not oversell, charge twice or lose an accepted order" \
      org.opencontainers.image.source="https://github.com/first-viscount/first-viscount" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A new named volume takes its owner and mode from the folder that it is mounted on.
RUN groupadd --gid 10001 viscount \
    && useradd --uid 10001 --gid viscount --no-create-home --home-dir /var/lib/viscount --shell /usr/sbin/nologin viscount \
    && install --directory --owner=viscount --group=viscount --mode=0700 /var/lib/viscount /var/lib/viscount-keys
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/viscount /usr/local/bin/viscount
COPY LICENSE assets/catalogue.json /usr/share/viscount/
ENV VISCOUNT_DATA_DIR=/var/lib/viscount \
    IDENTITY_KEYS_DIR=/var/lib/viscount-keys \
    VISCOUNT_HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/viscount
EXPOSE 8080 8082 8083 8084 8087 8088 8089
# In flight is finished within ten seconds of it.
STOPSIGNAL SIGTERM
# The gateway's; whoever runs another service says `viscount health http://127.0.0.1:<its port>`.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 CMD ["viscount", "health"]
ENTRYPOINT ["viscount"]
CMD ["help"]

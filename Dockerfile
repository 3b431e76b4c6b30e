# The server as an image: packages are installed in the first stage, the web client is built in the second, and the last has
# neither pip nor node nor compilers. Its file system may be read-only: it writes to /var/lib/devpocket (recordings; a
# volume) and /tmp alone. CI goes through these steps without a container engine (devpocket/tests/test_deployment.py).
FROM python:3.12.12-slim-bookworm AS build
COPY requirements.txt /
RUN python -m venv --without-pip /venv && pip --python /venv/bin/python install --no-cache-dir -r /requirements.txt

FROM node:24.19.0-bookworm-slim AS web
WORKDIR /web
COPY devpocket/web/package.json devpocket/web/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY devpocket/web ./
RUN npm run build

FROM python:3.12.12-slim-bookworm
RUN pip uninstall --yes --root-user-action=ignore pip \
    && useradd --system --uid 10001 --home-dir /var/lib/devpocket --shell /usr/sbin/nologin devpocket \
    && install --directory --owner=devpocket --mode=700 /var/lib/devpocket
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py ./
COPY devpocket devpocket
COPY --from=web /web/dist devpocket/web/dist
COPY accounts accounts
COPY templates_catalog templates_catalog
COPY environments environments
COPY terminals terminals
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    RECORDING_WORK_DIR=/var/lib/devpocket/recording MEDIA_ROOT=/var/lib/devpocket/media
# Static files and bytecode, made here since nothing can be written later. Its settings are only this step's.
RUN DEBUG=true SECRET_KEY=build JWT_SIGNING_KEY=build-build-build-build-build-build FIELD_ENCRYPTION_KEYS=build \
    DO_TOKEN=build python manage.py collectstatic --noinput && python -m compileall -q .
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000"]

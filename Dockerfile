# The server as an image: built with pip in the first stage, without it in the second, run by nobody in particular.
FROM python:3.12-slim-bookworm AS build
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /app devpocket
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py ./
COPY devpocket devpocket
COPY accounts accounts
COPY templates_catalog templates_catalog
COPY environments environments
COPY terminals terminals
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Settings that only this step needs; none of them is in the image's environment.
RUN DEBUG=true SECRET_KEY=build JWT_SIGNING_KEY=build-build-build-build-build-build FIELD_ENCRYPTION_KEYS=build \
    DO_TOKEN=build python manage.py collectstatic --noinput
RUN mkdir var && chown devpocket var
USER devpocket
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000"]

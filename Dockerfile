# syntax=docker/dockerfile:1.7
#
# Four images from one file:
#   docker build --target producer .    submit, wait, results; no TensorFlow, no OpenCV
#   docker build --target desk .        the web pages; no TensorFlow
#   docker build --target worker .      reads chunks; for a GPU add
#                                       --build-arg WORKER_SET=worker-gpu, for OpenVINO
#                                       --build-arg WORKER_SET=worker-openvino
#   docker build --target trainer .     trains and publishes; for a GPU add
#                                       --build-arg TRAINER_SET=trainer-gpu
#
# Dependencies lie in a layer below the code, so that a change of code rebuilds and ships some
# megabytes, not gigabytes. Their versions and hashes are those of requirements/ (`make lock`); pip
# takes no other file, from whichever index.

ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS python
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# --- the code, as a wheel ---------------------------------------------------------------------
FROM python AS wheel
WORKDIR /source
COPY requirements/build.txt requirements/build.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --requirement requirements/build.txt
COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist .

# --- the dependencies: known from requirements/ alone -----------------------------------------
FROM python AS dependencies
WORKDIR /source
RUN python -m venv /opt/inkmill
ENV PATH=/opt/inkmill/bin:$PATH

FROM dependencies AS producer-dependencies
COPY requirements/producer.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --requirement producer.txt

FROM dependencies AS desk-dependencies
COPY requirements/desk.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --requirement desk.txt

FROM dependencies AS worker-dependencies
ARG WORKER_SET=worker
COPY requirements/${WORKER_SET}.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --requirement "${WORKER_SET}.txt"

FROM dependencies AS trainer-dependencies
ARG TRAINER_SET=trainer
COPY requirements/${TRAINER_SET}.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --requirement "${TRAINER_SET}.txt"

# --- what the images share --------------------------------------------------------------------
FROM python AS base
RUN groupadd --gid 10001 inkmill \
    && useradd --uid 10001 --gid 10001 --no-log-init --create-home inkmill \
    && install --directory --owner=10001 --group=10001 /var/cache/inkmill /runs
# HOME can be written whoever the user is, and where the root file system is read-only.
ENV PATH=/opt/inkmill/bin:$PATH \
    HOME=/tmp \
    INKMILL_CACHE_DIR=/var/cache/inkmill \
    CUDA_CACHE_PATH=/var/cache/inkmill/cuda
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

"""Settings: one frozen, validated object, read from INKMILL_* variables and inkmill.toml.

In this order, the first source that sets a value wins: environment variables; the file named by
INKMILL_CONFIG, else ./inkmill.toml; the local stack that `inkmill up` runs in this folder;
the defaults below. A value that cannot be used is an error that names its source.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from inkmill import setting_sources
from inkmill.codes import LEAST_CERTAINTY
from inkmill.errors import SettingsError
from inkmill.names import PRIORITIES
from inkmill.records.codec import MOST_IN_CHUNK
from inkmill.records.jobs import MOST_DAYS
from inkmill.setting_values import (
    CommandLine,
    Count,
    Endpoint,
    Folder,
    ListenAddress,
    MessageKey,
    ModelName,
    Networks,
    Origins,
    Priorities,
    RedisUrl,
    Seconds,
    WebhookSecret,
    Words,
)


class Settings(BaseModel):
    """All settings; each is described in docs/reference/settings.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # where things are
    redis_url: RedisUrl = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis: redis://, rediss:// (TLS), or sentinel://host:port;sentinel://host:port",
    )
    redis_sentinel_master: str | None = Field(
        None, description="name of the master that the Sentinels watch"
    )
    redis_sentinel_username: str | None = Field(
        None, description="ACL user of the Sentinels themselves; unset: their default user"
    )
    redis_sentinel_password: SecretStr | None = Field(
        None,
        description="password of the Sentinels themselves; that of Redis stands in redis_url",
    )
    redis_sentinel_tls: bool = Field(False, description="connect to the Sentinels by TLS")
    redis_tls: bool = Field(
        False, description="connect by TLS to the Redis that Sentinels name; rediss:// always does"
    )
    redis_client_cert: Path | None = Field(
        None,
        description="PEM file of the certificate that is shown to Redis and to Sentinels that ask "
        "for one",
    )
    redis_client_key: Path | None = Field(
        None, description="PEM file of its key, unless redis_client_cert holds that, too"
    )
    message_key: MessageKey | None = Field(
        None,
        description="key by which messages are signed and checked, the same for all parts; unset: "
        "they are not signed",
    )
    message_key_accepted: MessageKey | None = Field(
        None, description="a second key whose signatures are accepted, while keys are changed"
    )
    redis_timeout: Seconds = Field(
        20.0, description="seconds without an answer after which Redis counts as unreachable"
    )
    s3_endpoint: Endpoint = Field(None, description="URL of the S3 service; unset means AWS")
    s3_bucket: str = Field(
        "inkmill", min_length=3, description="bucket that holds jobs, results and models"
    )
    s3_region: str = Field("us-east-1", description="region of the bucket")
    s3_access_key: str | None = Field(
        None,
        description="access key; unset means boto3's chain (environment, profile, workload role)",
    )
    s3_secret_key: SecretStr | None = Field(
        None, description="secret key that belongs to the access key"
    )
    s3_timeout: Seconds = Field(
        20.0, description="seconds without an answer after which an S3 request is repeated"
    )
    s3_connections: Count = Field(32, description="connections to S3 that a process keeps open")
    ca_bundle: Path | None = Field(
        None, description="PEM file of certificate authorities, for Redis and S3"
    )
    input_buckets: Words = Field(
        (), description="buckets from which `inkmill submit s3://...` may read, separated by commas"
    )

    # the model
    model: ModelName = Field("digits", description="name of the model that jobs use")
    strips_model: str = Field(
        "strips", description="name of the model that reads numbers without cells"
    )
    model_poll_interval: Seconds = Field(
        5.0, description="seconds between checks for a newly promoted version"
    )
    models_kept: Count = Field(3, description="versions that an engine keeps loaded")
    cache_dir: Folder = Field(
        Path("~/.cache/inkmill"),
        description="folder where workers keep compiled code, and this host's fastest runtime and "
        "precision",
        validate_default=True,
    )

    # submitting
    chunk_size: Annotated[int, Field(gt=0, le=MOST_IN_CHUNK)] | Literal["auto"] = Field(
        "auto", description="items in a chunk; auto: half a second of an engine's work"
    )
    window: Count | Literal["auto"] = Field(
        "auto", description="chunks of one job in flight; auto: by the number of live workers"
    )
    max_pixels: Count = Field(
        120_000_000, description="an image with more pixels is refused (TOO_LARGE)"
    )
    max_pages: Count = Field(2_000, description="a document with more pages is refused (TOO_LARGE)")
    max_file_bytes: Count = Field(256 * 2**20, description="a larger file is refused (TOO_LARGE)")
    retention_days: Annotated[int, Field(ge=0, le=MOST_DAYS)] = Field(
        0, description="days after which a finished job is deleted; 0 keeps it"
    )

    # the worker
    engines: Count | Literal["auto"] = Field(
        "auto", description="engine processes of a worker; auto: one per core it may use"
    )
    gpu: Count | Literal["auto", "off"] = Field(
        "auto",
        description="GPUs that compute for the engines of a worker, one predictor process for "
        "each; auto: all that TensorFlow sees, off: none",
    )
    gpu_delay: Annotated[float, Field(ge=0, le=1)] = Field(
        0.002,
        description="seconds that crops wait for those of other engines, to be one batch on a GPU",
    )
    concurrency: Count | Literal["auto"] = Field(
        "auto", description="chunks that a worker holds at once; auto: two per engine plus one"
    )
    queues: Priorities = Field(
        PRIORITIES, description="priorities that the worker serves, in this order"
    )
    visibility_timeout: Seconds = Field(
        300.0,
        description="seconds until chunks that a worker no longer renews are delivered again "
        "(those of a dead worker: within a minute); must be the same on all workers",
    )
    reconcile_interval: Seconds = Field(
        10.0, description="seconds between comparisons of chunks with results"
    )
    item_deadline: Seconds = Field(
        60.0, description="seconds that one item may take in an engine (TIMEOUT)"
    )
    drain_deadline: Seconds = Field(
        45.0, description="seconds that a stopping worker has to finish its chunks"
    )
    engine_memory: Count = Field(
        4 * 2**30, description="bytes of memory above which an engine process is replaced"
    )
    confidence: Annotated[float, Field(ge=0, le=1)] = Field(
        LEAST_CERTAINTY,
        description="a digit image read with lower confidence goes to review (LOW_CONFIDENCE)",
    )

    # the desk
    desk_session_hours: Annotated[float, Field(gt=0, le=24 * 30)] = Field(
        12.0, description="hours after which people must sign in at the desk again"
    )
    desk_user_header: str | None = Field(
        None,
        description="header in which a reverse proxy names the person who signed in there; "
        "it is believed only from desk_proxies",
    )
    desk_proxies: Networks = Field(
        (),
        description="addresses or networks of reverse proxies in front of the desk, "
        "separated by commas",
    )
    desk_sources: Words = Field(
        (),
        description="folders and s3:// prefixes from which the desk may submit, separated by "
        "commas",
    )

    # when a job ends
    on_done: str | None = Field(
        None,
        description="whom to tell of the end of each job that is submitted here, unless --on-done "
        "says otherwise: the URL of a webhook, or the word command",
    )
    on_done_origins: Origins = Field(
        (),
        description="origins to which webhooks may go, such as https://hooks.example.org, "
        "separated by commas; checked at submit and again by the worker that sends",
    )
    on_done_secret: WebhookSecret | None = Field(
        None,
        description="key by which workers sign webhooks: whsec_ and 24 to 64 bytes in Base64",
    )
    on_done_command: CommandLine | None = Field(
        None,
        description="command that a worker runs, without a shell, for jobs with --on-done command; "
        "it gets the notice on standard input",
    )

    # watching
    metrics_listen: ListenAddress | None = Field(
        None,
        description="HOST:PORT or PORT (on the loopback) where a worker, a training or the desk "
        "serves /metrics, /livez and /readyz; unset: nowhere",
    )

    traces_endpoint: Endpoint = Field(
        None,
        description="URL of an OpenTelemetry collector (OTLP over HTTP), such as "
        "http://collector:4318, to which producers and workers send traces; unset: none are made",
    )
    traces_share: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="share of jobs that are traced; the same on all producers and workers"
    )

    # logs
    log_format: Literal["auto", "human", "json"] = Field(
        "auto", description="auto: human on a terminal, JSON lines otherwise"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level that is logged"
    )

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("set both s3_access_key and s3_secret_key, or neither")
        if self.desk_user_header and not self.desk_proxies:
            raise ValueError(
                "desk_proxies must name the addresses from which desk_user_header is believed"
            )
        self._check_redis()
        return self

    def _check_redis(self) -> None:
        sentinel = self.redis_url.startswith("sentinel://")
        if sentinel and not self.redis_sentinel_master:
            raise ValueError(
                "redis_sentinel_master must name the master when redis_url is sentinel://"
            )
        told = (
            *("redis_tls", "redis_sentinel_tls"),
            *("redis_sentinel_username", "redis_sentinel_password"),
        )
        if not sentinel and (vain := [name for name in told if getattr(self, name)]):
            raise ValueError(
                f"{vain[0]} is for Sentinels: redis_url must begin with sentinel:// "
                "(TLS without Sentinels: rediss://)"
            )
        if self.message_key_accepted and not self.message_key:
            raise ValueError("message_key_accepted needs message_key, by which messages are signed")
        if self.redis_client_key and not self.redis_client_cert:
            raise ValueError("redis_client_key needs redis_client_cert: name the certificate, too")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
        """Read the settings of this process. Raises SettingsError."""
        environ = os.environ if environ is None else environ
        folder = Path() if folder is None else folder
        merged = setting_sources.merged(environ, folder, cls.model_fields)
        try:
            return cls(**{name: value for name, (value, _) in merged.items()})
        except ValidationError as error:
            raise SettingsError(setting_sources.explain(error, merged)) from None

    def environment(self) -> dict[str, str]:
        """The INKMILL_* variables that give these settings to another process."""
        variables = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None:
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                variables[setting_sources.PREFIX + name.upper()] = text
        return variables


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """INKMILL_* variables that match no setting. They may be misspelt, or not ours at all:
    Kubernetes sets some in every container for each service named inkmill."""
    return sorted(setting_sources.unknown(environ, Settings.model_fields))

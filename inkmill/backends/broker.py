"""Redis and Celery as Inkmill uses them: how to connect, how Celery is set up, what errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from inkmill import names
from inkmill.errors import BadHint, Unreachable

if TYPE_CHECKING:
    from types import TracebackType

    import redis
    from celery import Celery

    from inkmill.settings import Settings

#: Delivered and not yet acknowledged messages (`inkmill.backends.queue.deliveries`).
UNACKED = "inkmill:unacked"
UNACKED_INDEX = "inkmill:unacked_index"
UNACKED_MUTEX = "inkmill:unacked_mutex"


def connect(settings: Settings) -> redis.Redis:
    """A Redis client as the settings say: plain, TLS or through Sentinel."""
    import redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel

    options: dict[str, Any] = {
        "socket_timeout": settings.redis_timeout,
        "socket_connect_timeout": settings.redis_timeout,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=1.0), 2),
    }
    if settings.redis_url.startswith("sentinel://"):
        first = urlsplit(settings.redis_url.split(";")[0])
        sentinel = Sentinel(_sentinels(settings), sentinel_kwargs=_sentinel_options(settings))  # type: ignore[no-untyped-call]
        return sentinel.master_for(  # type: ignore[no-any-return,no-untyped-call]
            settings.redis_sentinel_master or "",
            db=int(first.path.strip("/") or "0"),
            username=unquote(first.username) if first.username else None,
            password=unquote(first.password) if first.password else None,
            **({"ssl": True, **_tls(settings)} if settings.redis_tls else {}),
            **options,
        )
    if settings.redis_url.startswith("rediss://"):
        options |= _tls(settings)
    return redis.Redis.from_url(settings.redis_url, **options)


def _sentinels(settings: Settings) -> list[tuple[str, int]]:
    """Host and port of each Sentinel."""
    parts = [urlsplit(each) for each in settings.redis_url.split(";")]
    return [(part.hostname or "127.0.0.1", part.port or 26379) for part in parts]


def _sentinel_options(settings: Settings) -> dict[str, Any]:
    """How redis-py connects to the Sentinels themselves: their credentials and TLS."""
    password = settings.redis_sentinel_password
    return {
        "socket_timeout": settings.redis_timeout,
        "socket_connect_timeout": settings.redis_timeout,
        "username": settings.redis_sentinel_username,
        "password": password.get_secret_value() if password else None,
        **({"ssl": True, **_tls(settings)} if settings.redis_sentinel_tls else {}),
    }


def _tls(settings: Settings) -> dict[str, Any]:
    """redis-py's options for TLS: the certificate of the server is always verified, its name too;
    ours is shown where there is one."""
    import ssl

    chosen = {
        "ssl_ca_certs": settings.ca_bundle,
        "ssl_certfile": settings.redis_client_cert,
        "ssl_keyfile": settings.redis_client_key,
    }
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        **{name: str(path) for name, path in chosen.items() if path},
    }


def celery_app(settings: Settings) -> Celery:
    """The Celery application that producers and workers share.

    Each setting was measured or is explained in docs/decisions/0002-celery.md.
    """
    from celery import Celery
    from kombu import Queue as KombuQueue

    app = Celery("inkmill", broker=settings.redis_url, set_as_current=False)
    transport: dict[str, Any] = {
        # A chunk whose worker fell silent is delivered again after this; kombu looks every 5 s.
        "visibility_timeout": settings.visibility_timeout,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # A connection that died without a word is noticed.
        "health_check_interval": 15,
        "socket_keepalive": True,
        "socket_timeout": settings.redis_timeout,
        "socket_connect_timeout": settings.redis_timeout,
        # One Redis list for each queue; priorities are queues of their own.
        "priority_steps": [0],
        "queue_order_strategy": "priority",
    }
    if settings.redis_sentinel_master:
        transport["master_name"] = settings.redis_sentinel_master
        transport["sentinel_kwargs"] = _sentinel_options(settings)
        transport["sentinels"] = _sentinels(settings)  # read by the worker's transport
    tls = settings.redis_tls or settings.redis_url.startswith("rediss://")
    app.conf.update(
        broker_transport_options=transport,
        broker_use_ssl=_tls(settings) if tls else None,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # The ack follows the write of the result.
        task_acks_late=True,
        task_acks_on_failure_or_timeout=False,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        task_default_queue=names.queue("normal"),
        task_create_missing_queues=False,
        task_queues=[KombuQueue(each) for each in names.all_queues()],
        task_publish_retry=True,
        task_publish_retry_policy={"max_retries": 3, "interval_start": 0.2, "interval_max": 1.0},
    )
    return app


def out_of_memory(error: BaseException) -> bool:
    """Whether Redis refused a command, or a script's, because it is full (noeviction)."""
    import redis.exceptions

    return isinstance(error, redis.exceptions.ResponseError) and (
        isinstance(error, redis.exceptions.OutOfMemoryError)
        or "OOM command not allowed" in str(error)
        or "used memory > 'maxmemory'" in str(error)
    )


#: In errors of Redis about what a key holds, which waiting does not change: its type, a number that
#: is none, and what a script cannot compute with.
_BAD_DATA = (
    "WRONGTYPE",
    "is not an integer",
    "not a valid float",
    "attempt to ",
    "bad argument",
)


def bad_data(error: BaseException) -> bool:
    """Whether Redis refused a command because of what a key holds."""
    import redis.exceptions

    return isinstance(error, redis.exceptions.ResponseError) and any(
        each in str(error) for each in _BAD_DATA
    )


def no_permission(error: BaseException) -> bool:
    """Whether an ACL of Redis refused a command, a script's, or one on its keys.

    By its text: kombu hides the class, and a script's error has none of its own before Redis 7.
    """
    import kombu.exceptions
    import redis.exceptions

    return isinstance(
        error, redis.exceptions.ResponseError | kombu.exceptions.OperationalError
    ) and any(
        each in str(error) for each in ("no permissions", "NOPERM", "executing the script can't")
    )


class reachable:
    """Turn errors of redis-py and kombu into Unreachable, with a message for users.

    What a key holds and should not is BadHint: asking again would not help.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            return
        import kombu.exceptions
        import redis.exceptions

        if out_of_memory(error):
            raise Unreachable(
                "Redis is out of memory and accepts no more messages: free memory or raise "
                "maxmemory; nothing is lost, submit again"
            ) from error
        if bad_data(error):
            raise BadHint(f"Redis holds something else than a hint of Inkmill ({error})") from error
        if isinstance(error, redis.exceptions.AuthenticationError):
            raise Unreachable(
                f"Redis refuses the password: check INKMILL_REDIS_URL ({error})"
            ) from error
        if no_permission(error):
            raise Unreachable(
                "Redis refuses this user a command: give it the rights of its part in "
                f"deploy/redis/users.conf ({error})"
            ) from error
        if isinstance(
            error, redis.exceptions.RedisError | kombu.exceptions.OperationalError | OSError
        ):
            raise Unreachable(
                f"Redis does not answer: check INKMILL_REDIS_URL, and that Redis is up ({error})"
            ) from error

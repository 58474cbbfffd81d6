"""Redis and Celery as Inkmill uses them: how to connect, how Celery is set up, what errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        from urllib.parse import urlsplit

        parts = [urlsplit(each) for each in settings.redis_url.split(";")]
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [(part.hostname or "127.0.0.1", part.port or 26379) for part in parts],
            socket_timeout=settings.redis_timeout,
        )
        database = parts[0].path.strip("/") or "0"
        return sentinel.master_for(  # type: ignore[no-any-return,no-untyped-call]
            settings.redis_sentinel_master or "",
            db=int(database),
            username=parts[0].username,
            password=parts[0].password,
            **options,
        )
    if settings.redis_url.startswith("rediss://") and settings.ca_bundle:
        options["ssl_ca_certs"] = str(settings.ca_bundle)
    return redis.Redis.from_url(settings.redis_url, **options)


def celery_app(settings: Settings) -> Celery:
    """The Celery application that producers and workers share.

    Each setting was measured or is explained in docs/decisions/0002-celery.md.
    """
    import ssl

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
    tls = settings.redis_url.startswith("rediss://")
    app.conf.update(
        broker_transport_options=transport,
        broker_use_ssl={
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
            **({"ssl_ca_certs": str(settings.ca_bundle)} if settings.ca_bundle else {}),
        }
        if tls
        else None,
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
        task_queues=[
            KombuQueue(each) for priority in names.PRIORITIES for each in names.queues(priority)
        ],
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
        if isinstance(
            error, redis.exceptions.RedisError | kombu.exceptions.OperationalError | OSError
        ):
            raise Unreachable(
                f"Redis does not answer: check INKMILL_REDIS_URL, and that Redis is up ({error})"
            ) from error

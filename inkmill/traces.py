"""Traces of jobs by OpenTelemetry, where a setting names a collector; otherwise they cost nothing.

A trace shows a page on its way: submit, the chunk's wait in the queue, the stages of the engine,
the write of its row. Nothing travels for it: the ids of a job's trace and of its root span are
digests of the job's id. So every process knows them, also after Redis was emptied, and no header of
a stranger's message has any effect.

The SDK is imported when the first trace is made: `pip install 'inkmill[traces]'`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from inkmill.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

    from inkmill.settings import Settings

Attributes = Mapping[str, str | int | float]
_SERVICE = "inkmill"


class Traces:
    """Sends spans of jobs to an exporter; all methods may be called from any thread.

    ``share`` is the share of jobs that are traced: which ones is decided by their ids, so that all
    processes agree.
    """

    def __init__(
        self, exporter: SpanExporter, share: float = 1.0, *, at_once: bool = False
    ) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        self._share = share
        self._ids = _ids()
        self._provider = TracerProvider(
            # Decided here; the default would ask variables that were set for another program.
            sampler=ALWAYS_ON,
            id_generator=self._ids,
            resource=Resource.create({"service.name": _SERVICE}),
        )
        processor = SimpleSpanProcessor if at_once else BatchSpanProcessor
        self._provider.add_span_processor(processor(exporter))
        self._tracer = self._provider.get_tracer(_SERVICE)

    def traces(self, job: str) -> bool:
        """Whether this job is traced."""
        return (_trace_id(job) & (2**64 - 1)) < self._share * 2**64

    def root(self, job: str, name: str, began: int, ended: int, attributes: Attributes) -> None:
        """The root span of a job's trace; times in nanoseconds since the epoch.

        A span that the caller is in at this moment is linked to.
        """
        from opentelemetry import trace
        from opentelemetry.context import Context

        current = trace.get_current_span().get_span_context()
        links = [trace.Link(current)] if current.is_valid else []
        self._ids.next = (_trace_id(job), _span_id(job))
        span = self._tracer.start_span(
            name, context=Context(), start_time=began, attributes=attributes, links=links
        )
        span.end(ended)

    def span(
        self,
        job: str,
        name: str,
        began: int,
        ended: int,
        attributes: Attributes,
        parent: SpanContext | None = None,
    ) -> SpanContext:
        """A span of a job's trace, below ``parent`` or the root."""
        from opentelemetry import trace
        from opentelemetry.context import Context

        if parent is None:
            parent = trace.SpanContext(
                _trace_id(job),
                _span_id(job),
                is_remote=True,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            )
        above = trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
        span = self._tracer.start_span(name, context=above, start_time=began, attributes=attributes)
        span.end(ended)
        return span.get_span_context()

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _ids() -> Any:
    """A generator of ids: those of a root span where they are set, else random ones."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def __init__(self) -> None:
            self._local = threading.local()

        @property
        def next(self) -> tuple[int, int] | None:
            return getattr(self._local, "next", None)

        @next.setter
        def next(self, ids: tuple[int, int] | None) -> None:
            self._local.next = ids

        def generate_trace_id(self) -> int:
            return self.next[0] if self.next else super().generate_trace_id()

        def generate_span_id(self) -> int:
            ids, self.next = self.next, None
            return ids[1] if ids else super().generate_span_id()

    return Ids()


def _trace_id(job: str) -> int:
    return int.from_bytes(hashlib.sha256(f"trace:{job}".encode()).digest()[:16]) or 1


def _span_id(job: str) -> int:
    return int.from_bytes(hashlib.sha256(f"root:{job}".encode()).digest()[:8]) or 1


def traces_of(settings: Settings) -> Traces | None:
    """The traces of this process, or None where no setting asks for them. Raises SettingsError
    where the SDK is not installed."""
    if settings.traces_endpoint is None:
        return None
    return _made(settings.traces_endpoint, settings.traces_share)


@lru_cache(maxsize=4)
def _made(endpoint: str, share: float) -> Traces:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError:
        raise SettingsError(
            "INKMILL_TRACES_ENDPOINT needs OpenTelemetry: pip install 'inkmill[traces]', "
            "or unset it"
        ) from None
    return Traces(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"), share)

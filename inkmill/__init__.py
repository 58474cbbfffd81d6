"""Inkmill turns folders of scanned forms into tables of digits.

    from inkmill import submit, wait, results

    job = submit("scans/", form="tally.yaml")
    wait(job)
    for row in results(job):
        print(row.source, row.status, [field.value for field in row.fields])

Nothing heavy is loaded until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inkmill.producer.control import cancel, delete, resume
    from inkmill.producer.status import jobs, status, wait
    from inkmill.producer.submission.submit import submit
    from inkmill.producer.tables.export import results
    from inkmill.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "Settings",
    "__version__",
    "cancel",
    "delete",
    "jobs",
    "results",
    "resume",
    "status",
    "submit",
    "wait",
]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: importing inkmill costs next to nothing.
    if name == "Settings":
        from inkmill.settings import Settings

        return Settings
    if name in __all__:
        from inkmill import producer

        return getattr(producer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Inkmill turns folders of scanned forms into tables of digits.

    from inkmill import results, submit, wait

    job = submit("scans/", form="tally.yaml")
    wait(job)
    for row in results(job):
        print(row.source, row.status, [field.value for field in row.fields])

`status`, `jobs`, `resume`, `cancel` and `delete` manage jobs; `Settings` says where the servers
are. Errors are in `inkmill.errors`, further functions in `inkmill.producer`. Importing this
package loads nothing else: each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inkmill.producer.control import cancel, delete, resume
    from inkmill.producer.status import jobs, status
    from inkmill.producer.submission.submit import submit
    from inkmill.producer.tables.export import results
    from inkmill.producer.waiting import wait
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
    # Importing the package is fast: it is also done by every worker and command.
    if name == "Settings":
        from inkmill.settings import Settings

        return Settings
    if name in __all__:
        from inkmill import producer

        return getattr(producer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Lists that people fill in: as a spreadsheet, or as a page for the browser that saves a CSV.

A list carries its job and kind, so that an import needs nothing but the file. `Line`s flow out
(`write`), a `FilledList` comes back (`read`); what typed values mean is `inkmill.people.typed`'s
business. ``formats`` chooses by the file's name between ``spreadsheet`` and ``browser``, and both
hold what ``lines`` defines.
"""

from inkmill.people.lists.formats import check, read, write
from inkmill.people.lists.lines import (
    AUDIT,
    REVIEW,
    SECOND,
    About,
    FilledList,
    Line,
    TypedValue,
)

__all__ = [
    "AUDIT",
    "REVIEW",
    "SECOND",
    "About",
    "FilledList",
    "Line",
    "TypedValue",
    "check",
    "read",
    "write",
]

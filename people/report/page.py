"""The page of a report: one HTML file with its pictures and charts inside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from inkmill.people.report import charts
from inkmill.people.report.figures import Report
from inkmill.webpage import render as rendered


def render(report: Report) -> Iterator[str]:
    """The page, piece by piece."""
    return rendered(
        Path(__file__).parent,
        "page",
        report=report,
        submitted=time.strftime("%Y-%m-%d %H:%M", time.gmtime(report.record.created)),
        models=", ".join(each for each in report.models if each) or "none",
        bars=charts.histogram(report.histogram),
        curve=charts.error_curve(report.curve),
        share=_share,
    )


def _share(part: int, whole: int) -> str:
    return f"({100 * part / whole:.1f} %)" if whole else ""

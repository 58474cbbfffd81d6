"""The page of a report: one HTML file with its pictures and charts inside."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from inkmill.people.lists.files import Line
from inkmill.people.report.summary import STEPS, FieldFigures, Report
from inkmill.rules import bounds

_STYLE = """
 body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
   color: #20242a; }
 h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
 .sub { color: #667; } .tiles { display: flex; gap: 1rem; flex-wrap: wrap; margin-top: 1rem; }
 .tile { border: 1px solid #d8dce2; border-radius: 8px; padding: .6rem 1.1rem; min-width: 7rem; }
 .tile b { display: block; font-size: 1.6rem; } .tile.ok b { color: #1a7f4b; }
 .tile.review b { color: #a86a00; } .tile.error b { color: #b3261e; }
 table { border-collapse: collapse; } td, th { padding: .25rem .8rem .25rem 0; text-align: left;
   border-bottom: 1px solid #eceef1; } td.n, th.n { text-align: right; }
 .sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: .7rem; }
 figure { margin: 0; border: 1px solid #e3e6ea; border-radius: 6px; padding: .4rem; }
 figure img { max-width: 100%; max-height: 130px; display: block; }
 figcaption { font-size: .8rem; color: #445; overflow-wrap: anywhere; }
 .code { margin: 1.1rem 0; } .code p { margin: .1rem 0 .5rem; color: #556; }
 svg text { font: 11px system-ui, sans-serif; fill: #445; }
"""


def render(report: Report) -> Iterator[str]:
    """The page, piece by piece."""
    record = report.record
    yield "<!doctype html><html lang=en><meta charset=utf-8>"
    yield "<meta name=viewport content='width=device-width'>"
    yield f"<title>Inkmill: {escape(record.job)}</title><style>{_STYLE}</style>"
    yield f"<h1>Job {escape(record.job)}</h1>"
    clock = time.strftime("%Y-%m-%d %H:%M", time.gmtime(record.created))
    models = ", ".join(each for each in report.models if each)
    yield (
        f"<div class=sub>form {escape(record.form_name)} {record.form_hash[:12]} · submitted "
        f"{clock} UTC · model {escape(models or 'none')}</div>"
    )
    yield from _tiles(report)
    yield from _truth(report)
    yield from _fields(report.fields)
    yield "<h2>Fields by confidence of the reading</h2>"
    yield histogram(report.histogram)
    yield from _codes(report)
    if report.doubtful:
        yield "<h2>The most doubtful fields</h2><div class=sheet>"
        yield from map(_figure, report.doubtful)
        yield "</div>"
    yield "</html>"


def _tiles(report: Report) -> Iterator[str]:
    yield "<div class=tiles>"
    yield f"<div class=tile><b>{report.rows:,}</b>pages</div>"
    for status in ("ok", "review", "error"):
        count = report.statuses[status]
        share = _share(count, report.rows)
        yield f"<div class='tile {status}'><b>{count:,}</b>{status} {share}</div>"
    read = sum(each.read for each in report.fields.values())
    doubtful = sum(each.review for each in report.fields.values())
    yield f"<div class=tile><b>{read:,}</b>fields read</div>"
    yield f"<div class='tile review'><b>{doubtful:,}</b>in review {_share(doubtful, read)}</div>"
    yield "</div>"


def _share(part: int, whole: int) -> str:
    return f"({100 * part / whole:.1f} %)" if whole else ""


def _truth(report: Report) -> Iterator[str]:
    if not report.compared:
        return
    wrong = sum(each.wrong for each in report.fields.values())
    among = sum(each.wrong_accepted for each in report.fields.values())
    accepted = report.compared - sum(each.review for each in report.fields.values())
    rate = bounds.clustered([(among, 0)] if accepted < 1 else _singles(among, accepted))
    yield "<h2>Against keyed values</h2>"
    yield (
        f"<p>{report.compared:,} fields compared, {wrong:,} read otherwise than keyed. "
        f"Wrong among the accepted: {rate.per_thousand()}, with a 95 % interval.</p>"
    )
    yield error_curve(report.curve)


def _singles(wrong: int, count: int) -> list[tuple[int, int]]:
    return [(1, 1)] * wrong + [(0, 1)] * (count - wrong)


def _fields(fields: Mapping[str, FieldFigures]) -> Iterator[str]:
    yield "<h2>Fields</h2><table><tr><th>field<th class=n>read<th class=n>in review<th class=n>"
    yield "mean confidence<th class=n>entered by people<th class=n>repaired"
    yield "<th class=n>wrong / compared"
    for name, each in fields.items():
        mean = f"{each.confidence / each.read:.4f}" if each.read else ""
        compared = f"{each.wrong:,} / {each.compared:,}" if each.compared else ""
        yield (
            f"<tr><td>{escape(name)}<td class=n>{each.read:,}<td class=n>{each.review:,} "
            f"{_share(each.review, each.read)}<td class=n>{mean}<td class=n>{each.people:,}"
            f"<td class=n>{each.repaired:,}<td class=n>{compared}"
        )
    yield "</table>"


def _codes(report: Report) -> Iterator[str]:
    if report.codes or report.field_codes:
        yield "<h2>Codes, with examples</h2>"
    for code, count in report.codes.most_common():
        if code not in report.pages:
            continue
        yield f"<div class=code><b>{code}</b>: {count:,} pages"
        yield f"<p>for example: {escape(report.messages[code])}</p><div class=sheet>"
        for source, picture in report.pages[code]:
            image = _image(picture, "jpeg") if picture else "<i>no picture</i>"
            yield f"<figure>{image}<figcaption>{escape(source)}</figcaption></figure>"
        yield "</div></div>"
    for code, count in report.field_codes.most_common():
        yield f"<div class=code><b>{code}</b>: {count:,} fields"
        yield f"<p>for example: {escape(report.messages[code])}</p><div class=sheet>"
        yield from map(_figure, report.examples[code])
        yield "</div></div>"


def _figure(line: Line) -> str:
    image = _image(line.picture, "png") if line.picture else "<i>the page is gone</i>"
    read = f"{escape(line.raw)} → {escape(line.value) or '∅'}"
    rules = f", by the rules {escape(line.proposed)}" if line.proposed else ""
    return (
        f"<figure>{image}<figcaption><b>{escape(line.field)}</b> {read}{rules}<br>"
        f"{escape(line.source)}</figcaption></figure>"
    )


def _image(data: bytes, kind: str) -> str:
    return f"<img alt='' src='data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}'>"


# --- charts ------------------------------------------------------------------------------------


def histogram(counts: Sequence[int]) -> str:
    """Bars for the steps of confidence, as SVG."""
    wide, high, gap = 88, 130, 8
    most = max([1, *counts])
    parts = []
    for number, count in enumerate(counts):
        x, height = number * (wide + gap), high * count / most
        label = f"{STEPS[number]:g} to {STEPS[number + 1]:g} %"
        colour = "#1a7f4b" if STEPS[number] >= 98 else "#d08a1d"
        parts.append(
            f"<rect x={x} y={20 + high - height:.1f} width={wide} height={height:.1f} "
            f"fill='{colour}'/>"
            + _words(x + wide / 2, high + 36, label)
            + _words(x + wide / 2, 15 + high - height, f"{count:,}")
        )
    width = len(counts) * (wide + gap)
    return f"<svg viewBox='0 0 {width} {high + 42}' width={width}>{''.join(parts)}</svg>"


def error_curve(points: Sequence[tuple[float, float]]) -> str:
    """Wrong among the accepted (per 1,000) against the share in review, as SVG."""
    if len(points) < 2:
        return ""
    wide, high, left, top = 520, 200, 60, 12
    most = max(0.001, *(wrong for _, wrong in points))
    line = " ".join(
        f"{left + wide * share:.1f},{top + high * (1 - wrong / most):.1f}"
        for share, wrong in points
    )
    ticks = "".join(
        _words(left + wide * part / 4, top + high + 18, f"{25 * part} %")
        + _words(left - 8, top + high * (1 - part / 4) + 4, f"{1000 * most * part / 4:.2f}", "end")
        + f"<line x1={left} x2={left + wide} y1={top + high * part / 4} y2={top + high * part / 4} "
        "stroke='#e3e6ea'/>"
        for part in range(5)
    )
    return (
        f"<svg viewBox='0 0 {left + wide + 20} {top + high + 44}' width={left + wide + 20}>{ticks}"
        f"<polyline points='{line}' fill=none stroke='#2458a6' stroke-width=2 />"
        + _words(left + wide / 2, top + high + 38, _AXES)
        + "</svg>"
    )


_AXES = "across: fields in review; upright: wrong among the accepted, in 1,000"


def _words(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f"<text x={x:.1f} y={y:.1f} text-anchor={anchor}>{escape(text)}</text>"

"""docs/explanation/benchmarks.md and its charts, from the figures in docs/benchmarks/."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.charts import bars, stacks
from bench.frame import FIGURES, median, say, spread

PAGE = FIGURES.parent / "explanation/benchmarks.md"
Figures = Mapping[str, Any]


def main(_: float = 0.0, __: int = 0) -> None:
    """Write the page from what was measured; parts that were not are named."""
    parts = {path.stem: json.loads(path.read_text()) for path in FIGURES.glob("?.json")}
    text = [_HEAD, _hosts(parts)]
    for part, write in _SECTIONS.items():
        if part in parts:
            text.append(write(parts[part]))
    missing = [part for part in _SECTIONS if part not in parts]
    if missing:
        text.append(f"Not measured yet: parts {', '.join(missing)}.")
    notes = FIGURES / "notes.md"
    if notes.exists():
        text.append(notes.read_text().strip())
    PAGE.write_text("\n\n".join(text) + "\n")
    say(f"wrote {PAGE.name}")


_HEAD = """# Benchmarks

<!-- Written by `python -m bench report` from docs/benchmarks/*.json; prose in notes.md there. -->

    make bench                              # all parts
    make bench PARTS="A --seconds 20"       # one part, shorter
    make bench-peers                        # installs Ray Data and LitServe for part A

Real Redis and SeaweedFS run on loopback, on the same cores as the workers. The sides of a part
are measured alternately in one run, several times each; figures are medians, followed by half
the range. The bare loop is the upper limit: header checks, decoding, normalisation and the model
in the same precision, from bytes in memory, with no queue and no store."""


def _hosts(parts: Mapping[str, Figures]) -> str:
    lines = ["| part | when | host | memory | Python | commit | command |", "| --- " * 7 + "|"]
    for part, figures in sorted(parts.items()):
        about = figures["about"]
        host = f"{about['host']} | {about['memory']} | {about['python']} | {about['commit']}"
        lines.append(f"| {part} | {about['date']} | {host} | `{about['command']}` |")
    libraries = next(iter(parts.values()))["about"]["libraries"] if parts else {}
    versions = ", ".join(f"{name} {version}" for name, version in libraries.items())
    return "\n".join(lines) + f"\n\n{versions}."


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(header)} |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join([*rows, *(f"| {' | '.join(line)} |" for line in lines)])


def _throughput(figures: Figures, unit: str, limit: str, title: str) -> str:
    """A table and a chart of sides, against the best bare loop."""
    runs = {name: [run for run in each if "rate" in run] for name, each in figures["runs"].items()}
    failed = [name for name, each in runs.items() if not each]
    rates = {name: median(each, "rate") for name, each in runs.items() if each}
    best = max(rate for name, rate in rates.items() if name.startswith("bare") and limit in name)
    lines = [
        [
            name,
            f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}",
            f"{spread(runs[name], 'rate'):.0%}",
            f"{rate / best:.2f}",
            _cpu_of(runs[name]),
            ", ".join(f"{run['load_before']:.1f}" for run in runs[name]),
        ]
        for name, rate in sorted(rates.items(), key=lambda each: -each[1])
    ]
    header = [
        "side",
        f"{unit} per second",
        "± half range",
        "of the bare loop",
        "µs of CPU per item",
    ]
    header.append("load before")
    text = _table(header, lines) + f"\n\n![{title}](../benchmarks/{figures['part']}.png)"
    bars(figures["part"], title, rates, f"{unit} per second")
    if failed:
        reasons = [f"{name}: {figures['runs'][name][0].get('failed')}" for name in failed]
        text += "\n\nCould not run here: " + "; ".join(reasons) + "."
    return text


def _cpu_of(runs: Sequence[Figures]) -> str:
    """Processor time of all processes of a side together: says the same on a busy host."""
    each = sorted(sum(run["cpu"].values()) / run["items"] * 1e6 for run in runs if "cpu" in run)
    return f"{each[len(each) // 2]:,.0f}" if each else ""


def _cpu(figures: Figures, side: str) -> str:
    """Who used the processors, in microseconds an item."""
    runs = [run for run in figures["runs"].get(side, []) if "cpu" in run]
    if not runs:
        return ""
    run = runs[0]
    each = {name: value / run["items"] * 1e6 for name, value in run["cpu"].items()}
    used = ", ".join(f"{name} {value:,.1f}" for name, value in each.items())
    memory = ", ".join(f"{name} {value >> 20}" for name, value in run["memory"].items())
    return f"\n\n{side}, microseconds of CPU per item: {used}. Peak memory in MiB: {memory}."


def _a(figures: Figures) -> str:
    return (
        "## A: digit images (MNIST as PNG files)\n\n"
        + _throughput(figures, "images", "2", "A: digit images")
        + _cpu(figures, "Inkmill, 2 engines")
    )


def _b(figures: Figures) -> str:
    return (
        "## B: A4 pages, 300 dpi JPEG, 60 cells\n\n"
        + _throughput(figures, "pages", "2", "B: pages of 60 cells")
        + _cpu(figures, "Inkmill, 2 engines")
    )


def _c(figures: Figures) -> str:
    lines = []
    for side, runs in figures["runs"].items():
        rates = (f"{median(runs, each):.1f}" for each in ("saturation", "half_rate"))
        waits = (f"{median(runs, each) * 1e3:.0f}" for each in ("p50", "p95", "p99"))
        cpu = [run["cpu_ms_per_job"] for run in runs]
        used = ", ".join(f"{who} {median(cpu, who):.1f}" for who in cpu[0])
        lines.append([side, *rates, *waits, used])
    header = ["side", "jobs per second, saturated", "at half: jobs per second"]
    header += ["p50 ms", "p95 ms", "p99 ms", "ms of CPU per job"]
    return "## C: jobs of one image from 20 producers\n\n" + _table(header, lines)


def _d(figures: Figures) -> str:
    memory = figures["memory"]
    small, producer, exports = figures["small"], figures["producer"], figures["exports"]
    lines = [
        ["images, chunks", f"{figures['items']:,}, {figures['chunks']:,}"],
        ["images per second while submit uploads and small jobs arrive", f"{figures['rate']:,.0f}"],
        ["producer", f"{producer['seconds']:.0f} s, at most {producer['memory'] >> 20} MiB"],
        ["Redis, peak memory", f"{figures['redis_memory'] / 1e6:.1f} MB"],
        *(
            [
                name,
                f"at most {each['most'] / 2**20:.0f} MiB, "
                f"{each['growth']:+.1%} after the first tenth",
            ]
            for name, each in memory.items()
        ),
        ["objects per chunk", f"{figures['objects_per_chunk']:.2f}"],
        ["read again after kill -9 at 99 %", f"{figures['read_again']:.2%} of the input"],
        ["small jobs behind it (E)", f"{small['jobs']} of one image each"],
        *(
            [f"their waiting time, {name}", f"{small[each]:.2f} s"]
            for name, each in (("median", "p50"), ("p95", "p95"), ("longest", "longest"))
        ),
        *(
            [f"export to {kind}", f"{each['seconds']:.0f} s, at most {each['memory'] >> 20} MiB"]
            for kind, each in exports.items()
        ),
    ]
    title = f"## D and E: a job of {figures['items']:,} images, small jobs behind it\n\n"
    return title + _table(["figure", "measured"], lines)


def _f(figures: Figures) -> str:
    lines, rates = [], {}
    for run in figures["runs"]:
        rates[str(run["workers"])] = run["rate"] / run["ideal"]
        lines.append(
            [
                str(run["workers"]),
                f"{run['rate']:.1f}",
                f"{run['rate'] / run['ideal']:.2f}",
                *(f"{run[name]:.1f}" for name in ("worker_ms", "redis_ms", "s3_ms")),
            ]
        )
    bars("F", "F: share of linear, by workers", rates, "share of linear")
    header = ["workers", "chunks per second", "of linear"]
    header += ["ms of CPU per chunk: workers", "Redis", "S3"]
    text = f"## F: many workers, engines of {figures['chunk_seconds']} s per chunk\n\n"
    return text + _table(header, lines) + "\n\n![F](../benchmarks/F.png)"


def _r(figures: Figures) -> str:
    grown = ", ".join(f"{name} {value:+.1%}" for name, value in figures["memory"].items())
    lines = [
        ["images per second, undisturbed", f"{figures['calm']:,.0f}"],
        ["images per second, a new version every 3 s", f"{figures['reloading']:,.0f}"],
        ["ratio", f"{figures['reloading'] / figures['calm']:.2f}"],
        ["versions published; named by rows", f"{figures['reloads']}; {figures['versions_seen']}"],
        ["chunks with rows of two versions", str(figures["mixed"])],
        ["growth of memory after the first tenth", grown],
    ]
    return "## R: new versions while A runs\n\n" + _table(["figure", "measured"], lines)


def _s(figures: Figures) -> str:
    rates = {name: median(runs, "rate") for name, runs in figures["runs"].items()}
    used = {
        name: median(
            [{"cpu": sum(run["cpu"].values()) / run["items"] * 1e6} for run in runs], "cpu"
        )
        for name, runs in figures["runs"].items()
    }
    lines = [
        [
            name,
            f"{rate:,.0f}",
            f"{spread(figures['runs'][name], 'rate'):.0%}",
            f"{used[name]:,.1f}",
            f"{rates['as it is'] / rate:.3f}",
        ]
        for name, rate in rates.items()
    ]
    header = [
        "side",
        "images per second",
        "± half range",
        "µs of CPU per item",
        "as it is, relative to this",
    ]
    words = (
        "Part A with 2 engines, as it is, and with a worker that computes and compares no digests "
        "and does not record in Redis which messages it holds."
    )
    return "## S: the cost of safeguards\n\n" + words + "\n\n" + _table(header, lines)


def _t(figures: Figures) -> str:
    runs = figures["runs"]
    keras = next(iter(runs))
    lines = [
        [
            name,
            f"{median(each, 'rate'):.1f}",
            f"{spread(each, 'rate'):.0%}",
            f"{median(each, 'rate') / median(runs[keras], 'rate'):.2f}",
            f"{median(each, 'rate_of_cpu'):.1f}",
            f"{median(each, 'rate_of_cpu') / median(runs[keras], 'rate_of_cpu'):.2f}",
            ", ".join(f"{run['load_before']:.1f}" for run in each),
        ]
        for name, each in runs.items()
    ]
    header = ["side", "steps per second", "± half range", "of Keras"]
    header += ["steps per second of CPU", "of Keras", "load before"]
    words = (
        f"`configs/tutorial.toml` on MNIST, {runs[keras][0]['steps']} steps a side and round, on "
        f"{figures['about']['host']}; the same network, batch, loss and optimiser as a Keras user "
        "writes it. On a busy host, processor time says more."
    )
    return "## T: steps of a training\n\n" + words + "\n\n" + _table(header, lines)


def _p(figures: Figures) -> str:
    text = ["## Profiles: processor time of one engine, step by step"]
    for kind, unit in (("digits", "image"), ("pages", "page")):
        steps = figures[kind]
        total = sum(steps.values())
        lines = [[name, f"{each:,.1f}", f"{each / total:.0%}"] for name, each in steps.items()]
        lines.append(["**together**", f"{total:,.1f}", ""])
        text.append(_table([f"{kind}: step", f"µs per {unit}", "share"], lines))
    stacks(figures)
    return "\n\n".join([*text, "![profiles](../benchmarks/P.png)"])


def _g(figures: Figures) -> str:
    lines = [
        [
            name,
            f"{median(each, 'rate'):,.0f}",
            f"{spread(each, 'rate'):.0%}",
            f"{median(each, 'crops_per_batch'):,.0f}" if "crops_per_batch" in each[0] else "",
            ", ".join(f"{run['load_before']:.1f}" for run in each),
        ]
        for name, each in figures["runs"].items()
    ]
    header = ["side", "images per second", "± half range", "crops in a batch", "load before"]
    words = (
        f"MNIST as PNG files on {', '.join(figures['devices'])}. What engines and device reach "
        "together is at most the lower one of decoding alone and the device alone."
    )
    return "## G: engines that feed a device\n\n" + words + "\n\n" + _table(header, lines)


def _k(figures: Figures) -> str:
    waits = {"the next screen, with all its pictures": figures["screens"], **figures["waits"]}
    lines = [
        [kind, f"{each['count']:,}", f"{each['p50_ms']:.0f}", f"{each['p95_ms']:.0f}"]
        for kind, each in waits.items()
        if each["count"]
    ]
    used = ", ".join(f"{name} {value:.2f}" for name, value in figures["cpu_others"].items())
    words = (
        f"{figures['keyers']} keyers type at a person's pace (0.3 s a key, 1.2 s a screen of a "
        "group, 2 s a field) on a job of ledger pages with doubts, a supervisor opens a page every "
        "second, and a worker with one engine reads other pages all the while. In "
        f"{figures['seconds']:.0f} s, {figures['entered_a_minute']:,.0f} fields were entered a "
        f"minute, with {figures['requests_a_second']:.1f} requests a second. The desk's server "
        f"took {figures['cpu_ms_of_server_per_request']:.1f} ms of processor time a request, and "
        f"{figures['cpu_ms_of_cutting_per_screen']:.0f} ms a screen to cut pictures. Of a core, "
        f"the others used: {used}. Load average of the host: {figures['load_before']} before, "
        f"{figures['load_after']} after."
    )
    header = ["answer to", "count", "median, ms", "p95, ms"]
    title = "## K: ten keyers at the desk, beside a worker\n\n"
    return title + words + "\n\n" + _table(header, lines)


_SECTIONS: dict[str, Callable[[Figures], str]] = {
    **{"A": _a, "B": _b, "C": _c, "D": _d, "F": _f, "G": _g, "K": _k, "R": _r, "S": _s, "T": _t},
    "P": _p,
}

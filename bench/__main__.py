"""Run parts of the benchmark: ``python -m bench A B --seconds 60 --repeats 3``, or ``report``."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys

#: Each part's module; some minutes each with the defaults (see docs/explanation/benchmarks.md).
PARTS = {
    "A": "digits",
    "B": "pages",
    "C": "small",
    "D": "million",
    "F": "many",
    "G": "devices",
    "K": "desk",
    "R": "reloads",
    "S": "safety",
    "P": "profile",
    "T": "training",
    "report": "report",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART", help=str(PARTS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of each side of A and B")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--rounds", type=int, default=17, help="of MNIST's 60,000 images in D: 17 make a million"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Told to stop, leave as after an error: servers and workers are then ended as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for part in arguments.parts:
        module = importlib.import_module(f"bench.{PARTS[part]}")
        more = (arguments.rounds,) if part == "D" else ()
        module.main(arguments.seconds, arguments.repeats, *more)


if __name__ == "__main__":
    main()

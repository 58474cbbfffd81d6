"""The options of a submit, each defined once.

`SubmitOptions` is the one record of them. The command-line options of ``inkmill submit``, ``run``
and ``watch`` (`inkmill.cli.options`), the keyword arguments of `inkmill.submit` with their
documentation, and the checks below are all made from it. To add an option, add an entry here and
use it where it takes effect: most do in `inkmill.producer.submission.submit.draft`.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar, cast

from inkmill.errors import UsageError
from inkmill.names import PRIORITIES
from inkmill.records.codec import MOST_IN_CHUNK
from inkmill.records.jobs import ANY_PRECISION, DOUBLES, HOLD, PINNED, PRECISIONS
from inkmill.suggestions import did_you_mean

if TYPE_CHECKING:
    from inkmill.template.form import Form

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class SubmitOption:
    """How an option is described, and which values it takes.

    ``help`` is what ``--help`` prints, ``doc`` what the Python function says instead. A default of
    False makes a flag, ``choices`` a choice, ``minimum`` an integer; anything else is text, shown
    as ``metavar``. ``unset`` says what applies if the default is None.
    """

    help: str
    doc: str = ""
    default: Any = None
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    unset: str = ""

    def check(self, name: str, value: Any) -> None:
        """Raises UsageError for a value that this option does not take."""
        if self.choices and value not in self.choices:
            raise UsageError(f"{flag(name)} {value}: use one of {', '.join(self.choices)}")
        if self.minimum is not None and value is not None and value < self.minimum:
            raise UsageError(f"{flag(name)} {value}: must be at least {self.minimum}")
        if self.maximum is not None and value is not None and value > self.maximum:
            raise UsageError(f"{flag(name)} {value}: must be at most {self.maximum}")


class SubmitOptions(TypedDict, total=False):
    """The options of `inkmill.submit` and of the commands submit, run and watch."""

    form: Annotated[
        "PathLike | Form | None",
        SubmitOption(
            "Template of the scanned form (YAML).",
            "Template of the scanned form: the path of a YAML file, or a "
            "`Form`. Without ``form`` and ``forms``, each image is one digit.",
            metavar="FILE",
        ),
    ]
    forms: Annotated[
        "PathLike | None",
        SubmitOption(
            "Folder of templates; the matching one is detected for each page.",
            "A folder of templates; the matching one is detected for each page, by its page code "
            "or else by how well it fits.",
            metavar="DIR",
        ),
    ]
    name: Annotated[
        str | None,
        SubmitOption(
            "Name of the job; the same command again continues it.",
            "The job's name; without one, the job is known by its id. With the same name, inputs, "
            "form and options, an interrupted submit continues, and a complete one does nothing.",
            metavar="NAME",
        ),
    ]
    model: Annotated[
        str,
        SubmitOption(
            "pinned, follow, or a version (at least 8 digits).",
            'The model version to read with: "pinned" (for the whole job the one that is latest '
            'now), "follow" (for each chunk the one that is latest when it is read), or the first '
            "8 or more digits of a version.",
            default=PINNED,
            metavar="VERSION",
        ),
    ]
    priority: Annotated[
        str,
        SubmitOption(
            "Queue of the job; workers prefer high.",
            'The job\'s queue: "high", "normal" or "low"; workers prefer "high".',
            default="normal",
            choices=PRIORITIES,
        ),
    ]
    chunk_size: Annotated[
        int | None,
        SubmitOption(
            "Items per chunk.",
            "Items per chunk; by default the setting ``chunk_size``. A chunk never holds more than "
            "about 16 MB.",
            minimum=1,
            maximum=MOST_IN_CHUNK,
            unset="half a second of an engine's work",
        ),
    ]
    rehash: Annotated[
        bool,
        SubmitOption(
            "If the submit is a repetition, read all files again, also those whose size and time "
            "are as before.",
            "If this is a repetition, read all files again, also those whose size and time of "
            "change are as before.",
            default=False,
        ),
    ]
    precision: Annotated[
        str,
        SubmitOption(
            "Precision to read with; any: the fastest on each host.",
            'Precision of the model: "any" (the fastest on each host that changes no accepted '
            'digit), "float32", "bfloat16" or "float16".',
            default=ANY_PRECISION,
            choices=PRECISIONS,
        ),
    ]
    expect: Annotated[
        "PathLike | None",
        SubmitOption(
            "List of sources; each that is absent gets a row with MISSING.",
            "A list of sources that must be present: a CSV file with a column ``source``, or one "
            "source per line. Each that is absent gets a row with the code MISSING.",
            metavar="FILE",
        ),
    ]
    keys: Annotated[
        "PathLike | None",
        SubmitOption(
            "Table (CSV) that gives each source the key of its document.",
            "A CSV file that gives sources the keys of their documents: columns ``source`` (or "
            "``file``), ``key`` and optionally ``page``. For forms only.",
            metavar="FILE",
        ),
    ]
    doubles: Annotated[
        str,
        SubmitOption(
            "How to handle duplicate pages in a document.",
            'How to handle duplicate pages in a document: "hold" sends them to review, "keep" '
            'keeps all, "first" and "last" keep one, in the order of the items. For forms only.',
            default=HOLD,
            choices=DOUBLES,
        ),
    ]
    follow_symlinks: Annotated[
        bool,
        SubmitOption(
            "Follow links in folders also where they lead out of them.",
            "Whether links in a folder are followed also where they lead out of it. By default "
            "each of those gets a row with the code MISSING.",
            default=False,
        ),
    ]
    new_revision: Annotated[
        bool,
        SubmitOption(
            "If NAME belongs to a different job, keep that job and create NAME-r2 (-r3 ...).",
            "If ``name`` belongs to a job with other inputs, form or options, keep that job and "
            "create the revision NAME-r2 (-r3 ...), instead of raising JobMismatch.",
            default=False,
        ),
    ]
    retention_days: Annotated[
        int | None,
        SubmitOption(
            "Delete the job this many days after it is finished; 0 keeps it.",
            "Delete the job this many days after it is finished; 0 keeps it. By default the "
            "setting ``retention_days``.",
            minimum=0,
            unset="the setting retention_days",
        ),
    ]
    on_done: Annotated[
        str | None,
        SubmitOption(
            "Whom to tell when the job has ended: a URL, or the word command.",
            "Whom to tell when the job has ended: the URL of a webhook, whose origin the setting "
            '``on_done_origins`` allows, or "command" for the command in the setting '
            '``on_done_command`` of the workers. By default the setting ``on_done``; "" is nobody.',
            metavar="URL",
            unset="the setting on_done",
        ),
    ]


def flag(name: str) -> str:
    """An option as it is written on a command line."""
    return f"--{name.replace('_', '-')}"


def all_options() -> dict[str, SubmitOption]:
    """Every option by name, in the record's order."""
    return {name: hint.__metadata__[0] for name, hint in SubmitOptions.__annotations__.items()}


def complete(given: SubmitOptions) -> SubmitOptions:
    """The options with defaults for those that were not given, checked.

    Raises TypeError for a name that is not an option, UsageError for a value that is not allowed.
    """
    options = all_options()
    for name in given.keys() - options.keys():
        raise TypeError(f"{name!r} is not an option of a submit{did_you_mean(name, options)}")
    values = {name: option.default for name, option in options.items()} | given
    for name, option in options.items():
        option.check(name, values[name])
    return cast(SubmitOptions, values)


_IN = "    "
_Function = TypeVar("_Function", bound=Callable[..., Any])


def documented(function: _Function) -> _Function:
    """Show every option in the signature and docstring of a function that takes ``**options``.

    Type checkers get the same from ``Unpack[SubmitOptions]``. In the docstring, the options replace
    the line of ``**options``.
    """
    found = inspect.signature(function)
    own = [each for each in found.parameters.values() if each.kind is not each.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=_type(name)
        )
        for name, option in all_options().items()
    ]
    # By kind, and options before the function's own keywords.
    parameters = sorted([*options, *own], key=lambda each: each.kind)
    signature = found.replace(parameters=parameters)
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__doc__ = _with_options(inspect.getdoc(function) or "")
    return function


def _type(name: str) -> str:
    """The type of an option as text, without its description."""
    found = SubmitOptions.__annotations__[name].__origin__
    return str(getattr(found, "__forward_arg__", None) or inspect.formatannotation(found))


def _with_options(text: str) -> str:
    """A docstring in which the options stand in the place of ``**options``."""
    options = [
        fill(
            f"{name}: {option.doc or option.help}",
            96,
            initial_indent=_IN,
            subsequent_indent=2 * _IN,
        )
        for name, option in all_options().items()
    ]
    return "\n".join(
        "\n".join(options) if line.lstrip().startswith("**options:") else line
        for line in text.splitlines()
    )

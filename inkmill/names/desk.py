"""Keys of the desk in the bucket: people, sessions, what was handed in, templates."""

from __future__ import annotations

import re

from inkmill.errors import UsageError
from inkmill.names.identifiers import check_person, check_sha256, is_form

DESK = "desk/"
DRAFTS = f"{DESK}drafts/"
FORMS = "forms/"
_SUBMIT = re.compile(r"[0-9a-f]{16}")
_TRAINING = re.compile(r"[0-9]{13}-[0-9a-f]{8}")
_DRAFT = re.compile(r"[0-9a-f]{16}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def desk_people() -> str:
    return f"{DESK}people/"


def desk_person(name: str) -> str:
    """A person who may sign in at the desk: role, and the hash of the password."""
    return f"{desk_people()}{check_person(name)}.json"


def desk_person_of(key: str) -> str:
    """The person whose record has this key."""
    return check_person(key.removeprefix(desk_people()).removesuffix(".json"))


def desk_sessions() -> str:
    return f"{DESK}sessions/"


def desk_session(digest: str) -> str:
    """A session, named by the digest of its token."""
    return f"{desk_sessions()}{check_sha256(digest)}.json"


def desk_link() -> str:
    """The digest of the one-time link by which the first administrator signs in."""
    return f"{DESK}link.json"


def desk_submits() -> str:
    return f"{DESK}submits/"


def desk_submit(submit: str) -> str:
    """Folder of what was handed in at the desk and is not a job yet."""
    if not _SUBMIT.fullmatch(submit):
        raise UsageError(f"{submit!r} is not the id of a submit at the desk: 16 hexadecimal digits")
    return f"{desk_submits()}{submit}/"


def desk_submit_record(submit: str) -> str:
    return f"{desk_submit(submit)}submit.json"


def desk_submit_files(submit: str) -> str:
    return f"{desk_submit(submit)}files/"


def desk_submit_file(submit: str, digest: str) -> str:
    """A file that was dropped on the desk; ``digest`` is that of its name."""
    return f"{desk_submit_files(submit)}{check_sha256(digest)}"


def desk_trainings() -> str:
    return f"{DESK}trainings/"


def desk_training(training: str) -> str:
    """A training that was asked for at the desk, and what came of it."""
    if not _TRAINING.fullmatch(training):
        raise UsageError(
            f"{training!r} is not the id of a training: 13 digits, a hyphen, and 8 more digits"
        )
    return f"{desk_trainings()}{training}.json"


def desk_training_of(key: str) -> str:
    """The training whose record has this key."""
    return key.removeprefix(desk_trainings()).removesuffix(".json")


def desk_trail(day: str) -> str:
    """What people did at the desk on a day (YYYY-MM-DD), where it is about no job."""
    if not _DAY.fullmatch(day):
        raise UsageError(f"{day!r} is not a day: write YYYY-MM-DD")
    return f"{DESK}trail/{day}/"


def saved_form(name: str) -> str:
    """A template that was saved at the desk, as YAML."""
    if not is_form(name):
        raise UsageError(
            f"{name!r} is not a form's name: use lower-case letters, digits, '.', '_' and '-', "
            "at most 60, beginning with a letter or digit"
        )
    return f"{FORMS}{name}.yaml"


def draft_root(draft: str) -> str:
    """Folder of a template that is being made at the desk."""
    if not _DRAFT.fullmatch(draft):
        raise UsageError(f"{draft!r} is not a draft: its id has 16 hexadecimal digits")
    return f"{DRAFTS}{draft}/"


def draft_record(draft: str) -> str:
    return f"{draft_root(draft)}draft.json"


def draft_picture(draft: str, digest: str) -> str:
    """A picture of a draft's page, blank or scan, named by its content."""
    return f"{draft_root(draft)}pictures/{check_sha256(digest)}.png"

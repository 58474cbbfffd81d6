"""Names in people's folders: which are no images of theirs, and which names are the same."""

from __future__ import annotations

import unicodedata

#: Files and folders that Windows, macOS, network storage and recycle bins leave behind.
_LEFT_BEHIND = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
    | {"__macosx", "network trash folder", "temporary items", "lost+found"}
    | {"$recycle.bin", "recycler", "system volume information"}
    | {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "~snapshot"}
)
#: How the files begin with which office programs mark a document as open.
_LOCK = "~$"


def skipped(name: str) -> str:
    """Why a file or folder of this name is no image of the user's; empty if it may be one."""
    if name.startswith("."):
        return "hidden"
    lower = name.lower()
    return "left by the system" if lower in _LEFT_BEHIND or lower.startswith(_LOCK) else ""


def same_name(name: str) -> str:
    """The same text for names that look the same: macOS writes ü as u and two dots, others as one.

    >>> same_name("Mu\\u0308ller.png") == same_name("M\\u00fcller.png")
    True
    """
    return unicodedata.normalize("NFC", name)

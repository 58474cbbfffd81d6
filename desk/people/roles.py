"""Roles, each of which may do what the ones before it may."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person may do at the desk.

    A keyer types and verifies values; a second keyer also keys blind what others keyed, and
    settles differences; a supervisor submits, cancels and deletes jobs, sees everybody's work and
    exports tables; an administrator manages people.
    """

    KEYER = "keyer"
    SECOND = "second"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"

    def may(self, role: Role) -> bool:
        """Whether this role includes the other."""
        return _RANKS[self] >= _RANKS[role]


_RANKS = {role: rank for rank, role in enumerate(Role)}

"""What every page may use, made once for each server process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inkmill.desk.people.sessions import Sessions
from inkmill.desk.people.trail import Trail
from inkmill.desk.people.users import People

if TYPE_CHECKING:
    from inkmill.backends.queue import Queue
    from inkmill.backends.store import Store
    from inkmill.producer import Connection
    from inkmill.settings import Settings


@dataclass(frozen=True)
class DeskContext:
    """The servers, and who may do what. A request finds it as ``request.app.state.context``.

    ``connection`` is what the functions of `inkmill.producer` and `inkmill.people` take.
    """

    connection: Connection
    people: People = field(init=False)
    sessions: Sessions = field(init=False)
    trail: Trail = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "people", People(self.store))
        sessions = Sessions(self.store, self.people, self.settings.desk_session_hours * 3600)
        object.__setattr__(self, "sessions", sessions)
        object.__setattr__(self, "trail", Trail(self.store))

    @property
    def settings(self) -> Settings:
        return self.connection.settings

    @property
    def store(self) -> Store:
        return self.connection.store

    @property
    def queue(self) -> Queue:
        return self.connection.queue

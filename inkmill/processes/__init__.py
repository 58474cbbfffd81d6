"""Child processes of every kind: how they are started, what they said, and how they are ended.

`starting` turns the refusal of a host that has no more open files, memory or processes into an
error with a remedy. `start_linked` starts a process with a connection of its own; `LoggedChild` is
one whose output goes to a file; `run_command` runs a command of Inkmill's and waits for it. What is
said over a connection is the callers' own matter.
"""

from inkmill.processes.commands import run_command
from inkmill.processes.ending import end
from inkmill.processes.logged import LoggedChild
from inkmill.processes.starting import start_linked, starting

__all__ = ["LoggedChild", "end", "run_command", "start_linked", "starting"]

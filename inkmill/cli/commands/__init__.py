"""One module per command or group of commands, imported when the command is used.

A module parses options, calls the rooms, and prints: output for scripts to stdout, messages for
people to stderr (`inkmill.cli.display.say`). Everything that a Python program could need belongs
in the rooms. Modules here do not import one another: what two commands share belongs in
`inkmill.cli`. They import rooms inside their functions, so that ``--help`` stays quick. A new
command also needs a line in `inkmill.cli.main.COMMANDS` and a section in the docs
(docs/reference/commands.md).
"""

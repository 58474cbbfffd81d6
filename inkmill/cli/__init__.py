"""The command line.

`main` finds a command's module in `commands` when it is used, and turns errors into exit codes.
`options` has the options that several commands share, `servers` what they connect to or start,
`steps` what they do alike (send, wait, exit), `display` what they print, `labelled_data` and
`model_argument` how data and models are named. This package may import every room; no room imports
it.

A new command is a module in `commands` (see there) and a line in `main.COMMANDS`. A new option of
submit, run and watch is an entry in `inkmill.producer.submission.options`.
"""

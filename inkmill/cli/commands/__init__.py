"""One module for each command or group of commands, imported when the command is used.

Modules parse options, call the rooms and print; whatever a program could want lives in the rooms.
"""

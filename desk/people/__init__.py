"""Who works at the desk: names, passwords, roles, sessions, and a trail of what they did.

Everything here is an object in the bucket (`inkmill.names`, below ``desk/``), read through caches
of a few seconds: a person who is removed, or whose password changes, is signed out on every server
within that time. `throttle` alone counts in Redis. No web framework is imported here; the command
``inkmill desk`` uses the same functions as the pages.
"""

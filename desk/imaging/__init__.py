"""Pictures of forms for the desk, worked on in child processes that have no credentials.

``children`` is the entrance: a request (a word, values, bytes) goes in, an answer of values and
bytes comes out. The server itself loads neither OpenCV nor a PDF library; ``child`` is the process
that does, and the other modules are what it can do. Any part of the desk may enter.
"""

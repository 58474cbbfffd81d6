"""Where the template lies on a scan, by marks, codes, printed boxes or features; else an error.

A page flows in, a verified transform (`Located`) or an ItemError with its cause flows out.
``registration`` is the entrance, ``choosing`` decides between several templates. Proposals come
from ``vision`` (marks, the pattern of boxes), ``features`` (the blank) and ``shapes`` (frames, the
sheet); ``placing`` refines them on the printed boxes, ``verification`` accepts or refuses them, and
``diagnosis`` says why none was accepted.
"""

"""Where the template is on a scan: marks, codes, printed boxes, features; or a clear refusal.

``registration`` is the entrance. A page comes in, a transform that was proved goes out.
"""

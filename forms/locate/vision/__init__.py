"""What is seen on a page: its reduced picture, marks, printed lines, codes, and how well they fit.

A page's grey pixels flow in; proposals, and evidence for them, flow out. ``shapes`` and ``placing``
build on it; templates are made with it, too. It imports nothing from the rest of ``locate``.
"""

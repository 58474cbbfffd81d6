"""The report of a job: its figures gathered in one pass, then drawn as one HTML page.

Rows flow in (``figures.gather``), one file flows out (``figures.write``). ``charts`` computes where
the parts of a chart stand, ``page`` renders `page.html` and `charts.html`.
"""

"""From rows to tables.

Rows flow in from the store, as workers wrote them; tables and files flow out. ``export`` reads a
job's rows, ``settlement`` collects what settles them (people's values, thresholds), ``row_counts``
stores how many of them have each status. ``columns`` defines the columns users see, ``writers``
the formats, ``output_file`` where they go. ``originals`` and ``fixes`` give people the scans
behind the rows, and the rows of pages that were read again.

Any part of producer/ and people/ may enter; nothing here loads OpenCV or TensorFlow.
"""

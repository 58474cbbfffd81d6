"""From rows to tables: rows as they hold now, columns, files.

``export`` reads a job's rows, ``settlement`` applies people's values and thresholds, ``columns``
says what users see, ``writers`` write CSV, JSON lines, Parquet and XLSX.
"""

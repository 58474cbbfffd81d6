"""The report of a job: its figures gathered, then drawn as one HTML page."""

"""What people do about doubtful values: review lists, audits, calibration, reports.

Stands on ``inkmill.producer``, never the reverse: rows flow in, lists and pages go out to people,
and what they type comes back as events beside the job.
"""

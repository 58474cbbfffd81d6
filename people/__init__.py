"""What people do about doubtful values: review, audit, calibration, comparison, reports.

Rows of finished jobs flow in. Lists, pages and tables flow out to people (``lists``, ``report``),
and what they type comes back as events stored beside the job (``review``, ``audit``); no row is
rewritten. ``typed`` says what a typed value means, ``calibrate`` finds thresholds from keyed
values, ``compare`` reads pages again with another model, ``training_data`` turns verified values
into samples, ``fix`` finds pages whose corners people give.

Stands on `inkmill.producer`, never the reverse. The command line may enter; functions that need
OpenCV get it passed in (`inkmill.producer.tables.originals.Cutter`).
"""

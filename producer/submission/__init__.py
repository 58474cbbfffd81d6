"""Submitting: images become a job whose chunks are stored and sent.

`options` is the record of what a submit may be asked for; `submit` checks it, reads the inputs
(`inkmill.producer.inputs`), and hands them to `submission`, whose order of steps makes it safe to
kill and repeat; `record` claims and seals the job's record, `revisions` finds what differs from an
existing job, `progress` is what the caller receives.
"""

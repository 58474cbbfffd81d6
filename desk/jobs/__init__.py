"""Jobs at the desk: live progress, submitting, stopping, results, the report.

    routes      the addresses
    overview    the states of jobs and of the queue, cached for a second; `live` streams them
    pages       the list, one job, its rows; what stops and removes a job
    exports     tables and reports as files
    submits     what was handed in and is not a job yet, as records in the bucket
    sources     folders and prefixes of the server that may be named
    running     submits it, in a thread; another server can go on where one died
    receiving   the pages and requests of handing in

Jobs are submitted, stopped and exported by `inkmill.producer`; here is only what pages need.
"""

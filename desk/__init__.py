"""The desk: the web pages of ``inkmill desk``, for everybody who works on a job's forms.

    app          `create_app`: the parts below, put together as one Starlette application
    context      what every page may use: settings, store, queue, people
    web          pages from templates, access by role, errors, headers; every part builds on it
    people       names and passwords, roles, sessions, the audit trail
    account      signing in and out, passwords, the pages of administrators
    jobs         jobs: progress, submitting, results
    review       what people key and verify
    editor       templates drawn on a page
    training     corrections become a model, which a person promotes

Requests flow in, pages flow out. What people do is stored in the bucket before it is confirmed;
a server keeps nothing else than caches, so that several can run side by side. No page loads
anything from another host. Needs the extra ``desk``; loads no TensorFlow.
"""

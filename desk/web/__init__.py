"""What the parts of the desk build on: pages, access, errors, headers.

    pages     `render` a template, `redirect` with a message
    access    `require`: the role an endpoint needs; sessions, CSRF tokens, bodies of requests
    errors    errors of Inkmill and of HTTP as pages, or as JSON
    headers   the Content-Security-Policy and its companions
    address   who is asking, also behind a reverse proxy
    static    the files that pages load

A part has a list ``routes``; its endpoints are functions of a `starlette.requests.Request` behind
`require`. They may be plain functions, which run in a thread, since the store and the queue wait.
"""

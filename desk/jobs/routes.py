"""Addresses of the pages about jobs."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from inkmill.desk.jobs import exports, pages, receiving

#: Bytes of a dropped file: it is streamed, and bounded by the setting max_file_bytes.
_MOST_FILE = 2**40
#: Bytes of the form for a new job, with its templates.
_MOST_FORM = 16 * 2**20

routes: list[BaseRoute] = [
    Route("/jobs", pages.listing, methods=["GET"]),
    Route("/jobs/live", pages.listing_live, methods=["GET"]),
    Route("/jobs/new", receiving.page, methods=["GET"]),
    Route("/jobs/new", receiving.hand_in, methods=["POST"], max_body_size=_MOST_FORM),
    Route("/jobs/submits", receiving.begin, methods=["POST"]),
    Route("/jobs/submits/{submit}", receiving.progress, methods=["GET"]),
    Route("/jobs/submits/{submit}", receiving.go_on, methods=["POST"]),
    Route("/jobs/submits/{submit}/state", receiving.state, methods=["GET"]),
    Route(
        "/jobs/submits/{submit}/files",
        receiving.receive,
        methods=["PUT"],
        max_body_size=_MOST_FILE,
    ),
    Route("/jobs/{job}", pages.one, methods=["GET"]),
    Route("/jobs/{job}", pages.act, methods=["POST"]),
    Route("/jobs/{job}/live", pages.one_live, methods=["GET"]),
    Route("/jobs/{job}/rows", pages.rows, methods=["GET"]),
    Route("/jobs/{job}/results", exports.table, methods=["GET"]),
    Route("/jobs/{job}/documents", exports.documents, methods=["GET"]),
    Route("/jobs/{job}/report", exports.report, methods=["GET"]),
    Route("/jobs/{job}/report", exports.make_report, methods=["POST"]),
]

"""What the worker does with one chunk, from the message to its rows in the store.

Runs in the worker's main process, with credentials; images are decoded in the engines. ``run`` is
the entrance and the table of contents, ``context`` what it works with. ``attempts`` counts how
often a chunk was tried, ``inputs`` gathers what an engine needs (``images`` fetches images,
``salvage`` deals with damaged chunks), ``isolation`` reads chunks that killed workers,
``completion`` says what follows once the rows are written, ``markers`` deletes open markers.
"""

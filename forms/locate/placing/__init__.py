"""One proposal on one page: what the methods look at, and how a proposal is refined on the boxes.

A proposal flows in, where the page lies by it flows out; whether that is accepted is decided by
``verification``. ``registration`` enters.
"""

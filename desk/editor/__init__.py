"""The template editor: a form's pages in the browser, and the template that becomes of them.

``routes`` is the entrance. A ``draft`` holds a template's content, valid or not yet, and the pages
that it is drawn over; ``drafts`` keeps drafts and saved templates in the bucket; ``content`` turns
templates into drafts and back. Pixels are looked at in `inkmill.desk.imaging`.
"""

"""Pictures of fields, cells and pages, cut once by a process without credentials.

Pages and places flow in, PNG and JPEG files come out: ``pictures`` keeps them in a folder, named by
what they show; ``cutter`` has them cut by `inkmill.desk.imaging`, which decodes strangers' pages.
"""

"""Making templates: pages of a form flow in, blank or filled in, a draft template flows out.

`detecting` is the entrance. It straightens pages, or learns their print from many
scans (`learning`), finds boxes, marks and codes (`finding`), and drafts a template (`drafting`).
`table` makes the template of the draft and a person's table,
`remarks` says what is doubtful about one, and `picturing` draws it. For the command line and
editors.
"""

"""What is printed on one page: a picture flows in, boxes, marks and codes in its pixels flow out.

`straightening` lays a page's lines along rows and columns; `lines` finds them, `boxes` the boxes
between them, in `rows`, by their `contents`; `choices` joins boxes to tick; `printed` finds marks
and codes. Entered from `inkmill.forms.make`.
"""

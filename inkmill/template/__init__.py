"""The form template: the page's fields, marks and rules as validated, frozen data.

YAML goes in, a ``Form`` comes out. No pixels: ``inkmill.forms`` locates and cuts pages by it.
"""

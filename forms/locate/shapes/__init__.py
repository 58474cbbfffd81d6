"""Frames, tables and the sheet itself as something to hold on to, where nothing else does.

An overview flows in, proposals flow out (`inkmill.forms.locate.vision.locators.Proposal`), which are
refined and verified like all others. Only ``registration`` enters, and only after the ordinary
methods have found nothing.
"""

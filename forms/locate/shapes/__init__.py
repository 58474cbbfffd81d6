"""Frames, tables and the sheet itself as something to hold on to, where nothing else does.

An overview flows in, proposals (`inkmill.forms.locate.vision.locators.Proposal`) flow out, which
are refined and verified like all others. ``registration`` enters, after the ordinary methods have
found nothing; ``placing`` takes the frames of a blank.
"""

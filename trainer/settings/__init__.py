"""The tables of a training's configuration, each with its keys, bounds and descriptions.

Values from TOML flow in, frozen and checked objects out; nothing is read or written. ``tables``
has the kinds of values and the small tables, ``sources`` where data comes from, ``augmentation``
what is done to it, ``strings`` how strings are composed, ``network`` the layers. ``trainer.config``
puts them together.
"""

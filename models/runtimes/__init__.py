"""The runtimes that compute a network, behind one protocol, and the choice between them.

``protocol`` says what a runtime does; ``autotune`` measures which is fastest on this host.
"""

"""One submit: images become a job whose chunks are stored and sent.

``submit`` is the entrance, ``submission`` the order of steps that makes it safe to kill and repeat.
"""

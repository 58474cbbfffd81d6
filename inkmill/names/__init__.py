"""Keys of objects and of Redis, queue names and identifiers, each defined once.

Object keys are built only from validated parts, so that no input can leave its job's folder. Two
kinds live elsewhere: the files of a training run (`inkmill.trainer.runs.checkpoints`), and the
lists that kombu keeps of delivered messages (`inkmill.backends.broker`). Strings go in and out,
nothing is read or written; anybody may enter, by `from inkmill import names`. The modules are
sorted by whose keys they are, and each of their public names is one of this package.
"""

# Listing a hundred names here once more would only be a second place to keep.
from inkmill.names.desk import *
from inkmill.names.identifiers import *
from inkmill.names.jobs import *
from inkmill.names.models import *
from inkmill.names.redis_keys import *
from inkmill.names.reviews import *
from inkmill.names.sizes import *

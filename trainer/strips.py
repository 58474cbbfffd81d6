from inkmill.trainer.samples import Dataset


def strips(source, path, name):
    return Dataset()

from inkmill.trainer.samples import Dataset


def folder(source, path, name):
    return Dataset()


def names(source, path, name):
    return Dataset()


def table(source, path, name):
    return Dataset()

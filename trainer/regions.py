from inkmill.trainer.samples import Dataset


def voc(source, path, name):
    return Dataset()


def form(source, path, name):
    return Dataset()

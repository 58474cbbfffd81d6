"""The engine: the child process that decodes strangers' images and runs the model.

It has no credentials and fetches nothing: chunks come in through ``inkmill.worker.link``, rows go
out the same way. It may import records, templates, rules, forms and models, and of the worker
only ``link``: no store, no settings, no boto3, no redis, no celery (a test holds that).
"""

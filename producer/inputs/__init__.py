"""The inputs of a submit: from paths to chunks in the store.

`sources` finds images (files, folders, `patterns`, lists, S3 prefixes); `pack` reads them and makes
items and chunks of them; `expect` adds items for expected sources that are absent, `document_keys`
the keys of documents; `upload` stores the chunks, several at a time. Entered from
`inkmill.producer.submission` and `inkmill.producer.watch`.
"""

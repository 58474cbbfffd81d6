"""Making templates: a blank form or filled scans flow in, a draft template flows out.

``learning`` recovers the blank from filled scans, ``detecting`` finds its boxes and marks,
``drafting`` turns them into a template, ``remarks`` says what is doubtful about one, and
``picturing`` draws it. For the command line.
"""

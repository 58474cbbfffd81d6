"""Corrections become a model: asked for at the desk, carried out elsewhere, promoted by a person.

    asked     a training as a record in the bucket, from the button to the promotion
    trainer   `inkmill trainer`: takes what was asked for, one at a time, each in its own process
    pages     the pages: what a job's corrections amount to, how trainings stand, old against new

A page writes a record, a trainer on another machine claims it; both see how it goes in the record.
The server trains nothing and loads no TensorFlow.
"""

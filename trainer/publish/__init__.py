"""From trained weights to a published model.

``finish`` calibrates, measures and writes the manifest; ``card`` makes the model card from it;
``gate`` refuses a model that is worse than the current one; ``exporters`` write it for other
runtimes.
"""

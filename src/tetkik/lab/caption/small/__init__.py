"""A small BLIP-2 to try the pipeline with, or to train from nothing: the same classes, 10 to 20 M weights."""

"""An example: a small BLIP-2 to try the caption pipeline with."""

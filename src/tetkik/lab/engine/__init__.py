"""What every training needs, whatever it teaches: checkpoints, an orderly stop, precision, settings tried.

The capabilities bring their own networks, losses and loops; this room knows none of them.
"""

"""Data sets, training, planning and evaluation of captioners."""

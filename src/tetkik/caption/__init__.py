"""A captioner: load it, and describe a radiology image in words."""

"""Labelled sources, training, evaluation, comparison, quantisation and import for findings."""

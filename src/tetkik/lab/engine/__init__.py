"""What every training shares: the loop, checkpoints, hyperparameter search, precision, log and card.

The capabilities bring their own networks, data, losses and metrics.
"""

"""What runs beside the requests: the worker and its machine, upkeep, events, the log and the metrics."""

"""Threads beside the requests: the worker, events, retention."""

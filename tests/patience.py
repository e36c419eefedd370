"""How long a test waits for what must come: far longer than it takes, on machines that are slow or pause.

No test passes because of it: a wait ends the moment that what it waits for is there.
"""

PATIENCE = 120.0
"""Seconds."""

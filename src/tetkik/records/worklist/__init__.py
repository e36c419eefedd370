"""The worklist: its pages, claims, search, and the events for open pages."""

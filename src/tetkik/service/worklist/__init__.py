"""The worklist, the search for a case, and live events."""

"""The figures of a department for whoever heads it."""

"""The worklist: what waits, who is reading it, how it is found, and what open pages hear of it."""

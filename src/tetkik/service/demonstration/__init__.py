"""The reading room with invented patients: `tetkik serve --demo`."""

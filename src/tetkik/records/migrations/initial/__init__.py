"""The first tables, by theme as in `records.schema`; written out, so that they stay as they were."""

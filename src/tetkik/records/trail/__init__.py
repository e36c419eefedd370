"""The audit trail: chained entries, how they are read, exported and verified."""

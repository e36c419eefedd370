"""From findings to a report that can be trusted: reading, retrieval, drafting and the check of drafts."""

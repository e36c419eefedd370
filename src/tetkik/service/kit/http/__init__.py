"""Requests and responses: files, forms, paging, idempotency, problems."""

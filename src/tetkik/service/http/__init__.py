"""What every route speaks: problems, idempotency keys, cursors, forms and files as a request brings them."""

"""The API and the pages: one process that the house opens in a browser."""

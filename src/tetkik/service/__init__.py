"""The web application: API, pages, background work."""

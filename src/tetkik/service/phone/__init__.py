"""The reading room as an app on a phone: manifest, icons, service worker, and what can be done without a network."""

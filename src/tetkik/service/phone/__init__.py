"""The reading room as an app on a phone: manifest, icons, service worker, the page without a network."""

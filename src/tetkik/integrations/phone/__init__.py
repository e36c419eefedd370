"""The reading room on phones: an Android package and an iOS profile for a hospital's address."""

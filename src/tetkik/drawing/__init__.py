"""The typeface of legends and documents."""

"""Figures of written reports against reference reports."""

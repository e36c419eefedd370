"""Where captioned images come from: one function opens every layout."""

from tetkik.lab.caption.sources.opening import open_source, set_aside
from tetkik.lab.caption.sources.source import Published, RowStream, Source, SourceKind

__all__ = ["Published", "RowStream", "Source", "SourceKind", "open_source", "set_aside"]

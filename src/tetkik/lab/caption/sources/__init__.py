"""Where captioned images come from: one function opens every layout."""

from tetkik.lab.caption.sources.opening import (
    Published,
    RowStream,
    Source,
    SourceKind,
    open_source,
    set_aside,
)

__all__ = ["Published", "RowStream", "Source", "SourceKind", "open_source", "set_aside"]

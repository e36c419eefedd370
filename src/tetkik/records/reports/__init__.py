"""Reports: drafts and what people make of them, signatures, versions, and what was corrected."""

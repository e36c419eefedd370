"""The architectures: each wraps its transformers classes as a `CaptionNetwork`."""

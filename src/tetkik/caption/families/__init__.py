"""Image-text models by family, each behind `tetkik.caption.network.CaptionNetwork`.

A family is one class and one line in `registry.py`: a larger or newer architecture is a setting.
"""

from tetkik.caption.families.opening import image_spec_of, open_base, tokenizer_of

__all__ = ["image_spec_of", "open_base", "tokenizer_of"]

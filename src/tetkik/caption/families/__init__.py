"""Image-text models by family, each a `tetkik.caption.families.staged.StagedNetwork`.

A family is one class and one line in `registry.py`: a larger or newer architecture is a setting.
"""

from tetkik.caption.families.loading import image_spec_of, load_base, tokenizer_of

__all__ = ["image_spec_of", "load_base", "tokenizer_of"]

"""The pipeline that everybody writes: TF-IDF of words and characters, a linear support vector machine.

Other benchmarks measure against it, in the same run.
"""

from __future__ import annotations

from typing import Any


def lower(text: str) -> str:
    """Lower case by the Turkish rule, in two replacements."""
    return text.replace("I", "ı").replace("İ", "i").lower()


def baseline() -> Any:
    """An unfitted scikit-learn pipeline."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(preprocessor=lower, ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(
        preprocessor=lower, analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True
    )
    return make_pipeline(make_union(words, characters), LinearSVC(C=0.3, class_weight="balanced"))

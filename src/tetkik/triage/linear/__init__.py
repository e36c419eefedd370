"""The light model: n-grams and a lexicon of medical terms into one matrix; NumPy and a little C."""

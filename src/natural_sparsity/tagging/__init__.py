"""Parts of speech: spaCy's tags, majority classes, frequency-matched samples."""

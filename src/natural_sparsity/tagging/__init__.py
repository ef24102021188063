"""Parts of speech: spaCy tags, majority classes, frequency-matched samples."""

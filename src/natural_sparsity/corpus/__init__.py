"""Text: from a dump to token streams."""

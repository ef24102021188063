"""Corpora: from downloaded files to token streams and labelled arrays."""

"""The tables: one file for each, and the writer that they share."""

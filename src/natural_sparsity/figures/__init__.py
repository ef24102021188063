"""The figures: one file for each, and the style that they share."""

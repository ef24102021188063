"""The kinds of data: a settings file for each."""

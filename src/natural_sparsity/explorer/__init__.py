"""The explorer: a static page on which to look at every word's measures through training."""

"""The explorer: a static page for looking at the measures of every word through training."""

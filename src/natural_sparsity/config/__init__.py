"""The configuration: every key once, what is checked, and the experiment that follows from it."""

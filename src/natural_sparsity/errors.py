"""The one exception that a user is meant to see."""


class UserError(Exception):
    """A mistake in input, configuration or environment: one line that names the file, key or word, and the fix."""

"""All that Snakemake says, as Snakemake says it: for ``--verbose`` and ``--debug-dag``."""

import logging
from typing import TYPE_CHECKING, Any, TextIO

from snakemake.logging import ColorizingTextHandler, DefaultFormatter

if TYPE_CHECKING:
    from snakemake_interface_logger_plugins.settings import OutputSettingsLoggerInterface


class Formatter(DefaultFormatter):
    """Snakemake's own, which would leave out a job's files and resources if its rule has a message."""

    def format_job_info(self, msg: dict[str, Any]) -> str:
        """A job's message below all that there is to say about it."""
        text: str = super().format_job_info({**msg, "rule_msg": None})
        return f"{text}\n    message: {msg['rule_msg']}" if msg["rule_msg"] else text


def make_handler(settings: "OutputSettingsLoggerInterface", stream: TextIO) -> logging.Handler:
    """Snakemake's handler for a terminal."""
    formatter = Formatter(settings.quiet, settings.show_failed_logs)
    return ColorizingTextHandler(nocolor=settings.nocolor, stream=stream, formatter=formatter)

"""Subcommands whose modules are imported only when asked for: a figure that needs no torch does not wait for it."""

import argparse
from collections.abc import Mapping
from typing import Any

from natural_sparsity import registry


class LazyParser(argparse.ArgumentParser):
    """A parser that takes its arguments from ``module`` when it is first used.

    The module has ``add_arguments(parser)``; its ``SUMMARY``, or its docstring's first line, describes the command.
    """

    module: str

    def load(self) -> None:
        """Import the module, and take description and arguments from it."""
        if self.description is None:
            module = registry.load(self.module)
            self.description = getattr(module, "SUMMARY", None) or (module.__doc__ or self.module).splitlines()[0]
            module.add_arguments(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Import the module, then parse as any parser does."""
        self.load()
        return super().parse_known_args(args, namespace)

    def format_usage(self) -> str:
        """Import the module, then format as any parser does: the documentation asks without parsing."""
        self.load()
        return super().format_usage()


def add_subcommands(parser: argparse.ArgumentParser, name: str, modules: Mapping[str, str]) -> list[LazyParser]:
    """Add a subcommand for each of ``modules`` (module below the package, by name); which was chosen is ``name``.

    Returns:
        Their parsers, for the arguments that all of them have.
    """
    parser.epilog = f"'{parser.prog} {name.upper()} --help' says more about one of them"
    subparsers = parser.add_subparsers(dest=name, metavar=name.upper(), required=True, parser_class=LazyParser)
    parsers = []
    for command, module in modules.items():
        subparser = subparsers.add_parser(command, help="")
        subparser.module = module
        parsers.append(subparser)
    return parsers

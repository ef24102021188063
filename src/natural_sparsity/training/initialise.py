"""Write the checkpoint before the first epoch, drawn from the seed, except what given word vectors say."""

import argparse
import sys
from pathlib import Path

from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.base import read_block
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.settings import parse_json_object


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--data", required=True, help="name of the data")
    parser.add_argument("--kind", required=True, help="kind of the data")
    parser.add_argument(
        "--block", type=parse_json_object, default={}, help="JSON, what training needs of the data's block"
    )
    parser.add_argument("--vocabulary", type=Path, help="Parquet id, word, count; not for generated data")
    parser.add_argument("--vectors", type=Path, help="word vectors, in the format that the architecture's block names")
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--architecture", type=parse_json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--training", type=parse_json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FOLDER", help="out: the checkpoint")


def run(args: argparse.Namespace) -> None:
    """Write epoch 0; it is drawn on the CPU, so that every device starts from the same weights.

    The state records what became of the word vectors: ``vectors``, as :func:`word_vectors.set_rows` returns it.

    Raises:
        UserError: an input cannot be read, or the vectors do not fit.
    """
    words = len(files.read_table(args.vocabulary, ["id"])) if args.vocabulary else None
    interface = open_data(args.kind, args.block).interface(words)
    architecture = read_block(Architecture, args.architecture, "architecture")
    learning_rate = read_block(Training, args.training, "training").learning_rate
    seed_everything(args.seed, "initialise")
    model = RecurrentModel(interface, architecture)
    state = {
        "data": args.data,
        "model": args.model,
        "kind": args.kind,
        "block": args.block,
        "seed": args.seed,
        "epoch": 0,
        "vocabulary": files.read_digest(args.vocabulary) if args.vocabulary else None,
        "before": None,
        "tokens": {},
        "sparsify": {},
        "learning_rate_in": learning_rate,
        "learning_rate_out": learning_rate,
        **dict.fromkeys(("train_loss", "dev_loss", "dev_score", "best_dev_loss")),
        "steps": 0,
        "examples": 0,
        "wall_time_s": 0.0,
    }
    if architecture.vectors and model.embedding:
        if args.vectors is None:
            raise UserError(f"--vectors: missing; give the file that --architecture names, {architecture.vectors.path}")
        # Here alone, since importing gensim takes longer than drawing a model.
        from natural_sparsity.training import word_vectors

        form = architecture.vectors.format
        state["vectors"] = word_vectors.set_rows(model.embedding.weight, args.vectors, form, args.vocabulary)
        print(word_vectors.tell(state["vectors"]), file=sys.stderr)
    checkpoint.save(args.checkpoint, model, state)

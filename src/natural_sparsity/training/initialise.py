"""The checkpoint before the first epoch, drawn from the seed alone."""

import argparse
from pathlib import Path

from natural_sparsity import files
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.training.settings import Training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True, help="Parquet id, word, count")
    parser.add_argument("--architecture", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--training", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--classes", type=int, help="of texts, for a classifier")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--parameters", type=Path, required=True, help="out: safetensors")
    parser.add_argument("--state", type=Path, required=True, help="out: JSON")


def run(args: argparse.Namespace) -> None:
    """Write epoch 0; it is drawn on the CPU, so that every device starts from the same weights."""
    vocabulary = files.read_table(args.vocabulary, ["id"])
    seed_everything(args.seed, "initialise")
    model = LanguageModel(len(vocabulary), read_block(Architecture, args.architecture), args.classes)
    learning_rate = read_block(Training, args.training).learning_rate
    state = {
        "epoch": 0,
        "seed": args.seed,
        "learning_rate_in": learning_rate,
        "learning_rate_out": learning_rate,
        "train_loss": None,
        "dev_loss": None,
        "best_dev_loss": None,
        "steps": 0,
        "tokens": 0,
        "wall_time_s": 0.0,
    }
    checkpoint.save(model, args.parameters, args.state, state)

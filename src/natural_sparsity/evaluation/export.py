"""Write a model as files to ship: packed, in one safetensors file; its words; and ONNX if asked for.

:func:`natural_sparsity.load` reads the packed file. Without options, its model is the checkpoint's, bit for bit:
weights that were trained in few bits take as few, and zeros take one bit each where that is smaller.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import onnx_file
from natural_sparsity.evaluation.fold import fold_subject
from natural_sparsity.evaluation.subject import Subject, open_subject
from natural_sparsity.identity import check_made_from
from natural_sparsity.methods.base import read_trained_integers
from natural_sparsity.methods.masks import TENSORS, prunable
from natural_sparsity.methods.qat import quantise
from natural_sparsity.model import exported
from natural_sparsity.model.eight_bits import read_integers
from natural_sparsity.model.packing import Numbers
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.settings import add_expect_option, parse_path

WORDS, ONNX = "vocabulary.txt", "model.onnx"
SCOPES = ("channel", "tensor")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FOLDER", help="the model to export")
    parser.add_argument("--vocabulary", type=Path, help="Parquet, the words to write beside the model")
    parser.add_argument("--fold", action="store_true", help="cut removed units and unused words out (of an LSTM)")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        "--int8", action="store_true", help="round recurrent and output layers as torch's dynamic quantisation does"
    )
    precision.add_argument(
        "--bits", type=int, choices=range(2, 9), metavar="2…8", help="round all weight matrices to so many bits"
    )
    parser.add_argument(
        "--scope", choices=SCOPES, help=f"with --bits: a scale per row ({SCOPES[0]}, the default), or per matrix"
    )
    parser.add_argument("--onnx", action="store_true", help=f"write {ONNX} too, in single precision")
    parser.add_argument(
        "--output", type=parse_path, required=True, metavar="FOLDER", help="out: the folder of the files"
    )
    add_expect_option(parser)


def run(args: argparse.Namespace) -> None:
    """Write the files.

    Raises:
        UserError: as :func:`check_options` and :func:`make_form`; the words are not the model's; or the package onnx,
            which --onnx needs, is not installed.
    """
    check_options(args)
    subject = open_subject(args.checkpoint, torch.device("cpu"), args.expect)
    words = read_words(args.vocabulary, subject) if args.vocabulary else None
    path = args.output / exported.FILE
    form: dict[str, Any] = {"fold": args.fold, "int8": args.int8, "bits": args.bits, "scope": args.scope or SCOPES[0]}
    exported.write(path, *make_form(subject, **form), describe(subject, **form))
    if words is not None:
        with files.atomic(args.output / WORDS) as temporary:
            temporary.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    if args.onnx:
        onnx_file.write(args.output / ONNX, exported.load(path))


def check_options(args: argparse.Namespace) -> None:
    """Refuse a scope without rounding, and a folder in which files of another model would stay.

    Raises:
        UserError: a line with the option to give.
    """
    if args.scope and not args.bits:
        raise UserError("--scope: says how --bits rounds; give --bits, or leave it out")
    for name, option, given in ((WORDS, "--vocabulary", args.vocabulary), (ONNX, "--onnx", args.onnx)):
        if (args.output / name).exists() and not given:
            raise UserError(f"{args.output / name}: would stay beside the new model; delete it, or give {option}")


@torch.no_grad()
def make_form(
    subject: Subject, fold: bool = False, int8: bool = False, bits: int | None = None, scope: str = SCOPES[0]
) -> tuple[RecurrentModel, Numbers]:
    """Return the model to write, and those of its matrices that are written as integers.

    Args:
        subject: the checkpoint.
        fold: cut out what its method removed.
        int8: round recurrent and output layers to eight bits as torch does.
        bits: round all weight matrices to so many bits, with one scale per row or matrix by ``scope``.

    Raises:
        UserError: the model was trained in few bits and would be rounded or folded; or it cannot be folded or rounded.
    """
    trained = read_trained_integers(subject.state["sparsify"], subject.model, subject.tensors)
    if trained and (fold or int8 or bits):
        raise UserError(
            f"{subject.folder}: its weights were trained in few bits, and are stored so; leave out --fold, --int8 and"
            " --bits"
        )
    model = fold_subject(subject) if fold else subject.model
    if int8:
        return model, read_integers(model)
    return model, round_weights(model, bits, scope) if bits else trained


def round_weights(model: RecurrentModel, bits: int, scope: str) -> Numbers:
    """Return the integers and scales of every weight matrix, rounded to so many bits."""
    numbers = {}
    for name, weight in prunable(model, list(TENSORS)).items():
        values, scale = quantise(weight, bits, scope)
        numbers[name] = (values / scale[:, None]).round().to(torch.int8), scale
    return numbers


def describe(
    subject: Subject, fold: bool = False, int8: bool = False, bits: int | None = None, scope: str = SCOPES[0]
) -> dict[str, Any]:
    """Return what the header says of the checkpoint, and of what :func:`make_form` made of it with these options.

    Which checkpoint it is; the digest of its vocabulary; whether it is ``folded``, now or before; and how it is
    ``rounded``: null, ``int8``, or bits and scope. Weights that were trained in few bits are not rounded: see
    ``sparsify``.
    """
    folded = fold or bool(subject.state.get("folded"))
    rounded = "int8" if int8 else {"bits": bits, "scope": scope} if bits else None
    return {**subject.identify(), "vocabulary": subject.state["vocabulary"], "folded": folded, "rounded": rounded}


def read_words(path: Path, subject: Subject) -> list[str]:
    """Return the words of a vocabulary in the order of their ids, which start at 0.

    Raises:
        UserError: the file cannot be read or is not the vocabulary of the model.
    """
    about, expected = {"vocabulary": files.read_digest(path)}, subject.state["vocabulary"]
    check_made_from(path, about, "vocabulary", subject.folder, expected)
    words: list[str] = files.read_parquet(path, ["id", "word"]).sort_values("id")["word"].tolist()
    return words

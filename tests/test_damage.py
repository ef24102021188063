"""Damage to a product, wherever it is: the product is refused by name, or read as it was written."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch

from chains import CPU, language_model
from natural_sparsity import files
from natural_sparsity.corpus.index import read_blocks
from natural_sparsity.corpus.shards import Shard
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint

pytestmark = pytest.mark.integration

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 300, 1000).astype(np.uint16)
LINES = [" ".join(RNG.choice(["the", "of", "a\u00e9", "7"], 9)) for _ in range(40)]
TABLE = pd.DataFrame(
    {
        "word": pd.Series([f"w{i}" for i in range(60)], dtype="str"),
        "chi_mean": RNG.random(60),
        "tensor": pd.Categorical(RNG.choice(["h_e", "h_1"], 60)),
    }
)
METADATA = {"epoch": 3, "measures": ["chi"], "loss": 1.25}
STATE = dict.fromkeys(checkpoint.FIELDS) | {"data": "d", "model": "m", "kind": "text", "epoch": 1, "examples": 4}


def write_blocks(path, array):
    with files.atomic(path) as temporary:
        writer = files.ArrayWriter(temporary, array.dtype)
        writer.append(array[:300])
        writer.append(array[300:])
        writer.close()


def write_text(path):
    with files.open_zstd(path) as file:
        file.write("".join(line + "\n" for line in LINES).encode())


def write_checkpoint(path):
    torch.manual_seed(0)
    checkpoint.save(path.parent, language_model(5, embedding=2, hidden=[2, 2], dropout=0.0), STATE)


def read_checkpoint(path):
    model, _ = checkpoint.load(path.parent, CPU)
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


# Name of the file; how it is written, and how it is read.
PRODUCTS = {
    "tokens.npy": (
        lambda path: files.write_array(path, TOKENS, METADATA),
        lambda path: (files.read_array(path).tolist(), files.read_metadata(path)),
    ),
    "blocks.npy": (lambda path: write_blocks(path, TOKENS), lambda path: files.read_array(path).tolist()),
    "empty.npy": (
        lambda path: files.write_array(path, TOKENS[:0]),
        lambda path: files.read_array(path).tolist(),
    ),
    "table.parquet": (
        lambda path: files.write_parquet(path, TABLE, METADATA),
        lambda path: (files.read_parquet(path, list(TABLE)).to_csv(), files.read_metadata(path)),
    ),
    "state.json": (write_checkpoint, lambda path: checkpoint.read_state(path.parent)),
    "parameters.safetensors": (write_checkpoint, read_checkpoint),
    "text.zst": (write_text, lambda path: [line for lines in read_blocks(path) for line in lines]),
}


@pytest.fixture(params=PRODUCTS)
def product(request, tmp_path):
    """A product's path, its bytes, what it says, and how that is read."""
    path = tmp_path / request.param
    write, read = PRODUCTS[request.param]
    write(path)
    return path, path.read_bytes(), read(path), read


def refused(path, damaged, said, read):
    """Whether the file with ``damaged`` bytes is refused by name; if not, it says what was written."""
    path.write_bytes(damaged)
    try:
        found = read(path)
    except UserError as error:
        assert str(path) in str(error) or checkpoint.STATE in str(error)
        assert "\n" not in str(error)
        return True
    assert found == said
    return False


@pytest.mark.integration
def test_a_flipped_bit(product):
    """One in every byte."""
    path, whole, said, read = product
    count = sum(
        refused(path, whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :], said, read)
        for place in range(len(whole))
    )
    assert count > 0.9 * len(whole)


def test_a_cut(product):
    """At many lengths, and bytes that do not belong to it."""
    path, whole, said, read = product
    lengths = {*range(0, len(whole), 97), *range(min(len(whole), 40)), *(len(whole) - n for n in range(1, 40))}
    assert sum(refused(path, whole[:length], said, read) for length in lengths) >= len(lengths) - 1  # a final newline
    refused(path, whole + b"\0", said, read)


def test_a_stretch_of_zeros_or_of_another_place(product):
    """As a failing disk leaves them."""
    path, whole, said, read = product
    for start in range(0, len(whole) - 64, 61):
        for stretch in (bytes(64), whole[start + 64 : start + 128].ljust(64, b"\1")):
            damaged = whole[:start] + stretch + whole[start + 64 :]
            assert damaged == whole or refused(path, damaged, said, read)


def test_swapped_stretches_are_detected(product):
    """As a disk does that writes two sectors to each other's places."""
    path, whole, said, read = product
    for size in (8, 64, 512):
        places = range(0, len(whole) - size, max(size, len(whole) // 12))
        for first, second in itertools.combinations(places, 2):
            if first + size <= second:
                damaged = bytearray(whole)
                damaged[first : first + size], damaged[second : second + size] = (
                    whole[second : second + size],
                    whole[first : first + size],
                )
                assert bytes(damaged) == whole or refused(path, bytes(damaged), said, read)


def test_bit_flips_that_cancel_in_a_sum_are_detected(tmp_path):
    """A bit set in one word of 64 bits and cleared in the next: what the digest of format 2 let through."""
    path = tmp_path / "a.npy"
    files.write_array(path, np.array([1, 0] * 5000, np.uint64))
    whole = bytearray(path.read_bytes())
    for start in range(128, 80_000, 4096):
        damaged = bytearray(whole)
        damaged[start], damaged[start + 8] = damaged[start + 8], damaged[start]
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.npy: changed or cut"):
            files.read_array(path)


def test_files_of_two_shards_do_not_mix(tmp_path):
    """Though their lengths fit."""
    files.write_array(tmp_path / "tokens.npy", TOKENS)
    files.write_array(tmp_path / "lengths.npy", np.array([len(TOKENS)], np.uint32), {"tokens": "of another shard"})
    with pytest.raises(UserError, match=r"lengths\.npy: does not belong to .*tokens\.npy \(different tokens\)"):
        Shard.open(tmp_path / "tokens.npy", tmp_path / "lengths.npy")


def test_what_others_wrote_is_no_product(tmp_path):
    np.save(tmp_path / "a.npy", TOKENS)
    TABLE.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "s.json").write_text(json.dumps({"epoch": 1}))
    for name, read in (
        ("a.npy", files.read_array),
        ("t.parquet", lambda path: files.read_parquet(path, ["word"])),
        ("s.json", files.read_json),
    ):
        with pytest.raises(UserError, match=name):
            read(tmp_path / name)

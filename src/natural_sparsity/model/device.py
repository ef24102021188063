"""Where to compute, with how many threads, and from which random numbers."""

import hashlib
import os
import re

import torch

from natural_sparsity.errors import UserError


def select_device(name: str, threads: int) -> torch.device:
    """The device ``name``: ``auto`` (CUDA if there is one), ``cpu``, ``cuda`` or ``cuda:1``; sets the CPU threads.

    Raises:
        UserError: CUDA was asked for and there is none, or no such device is known.
    """
    if threads < 1:
        raise UserError(f"threads: {threads} is not a positive integer")
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"device: {name} was asked for, but torch {torch.__version__} sees no CUDA device; use auto or cpu"
        )
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", name):
        raise UserError(f"device: {name!r} is unknown; use auto, cpu, cuda or cuda:1")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {name} was asked for, but the last one is cuda:{torch.cuda.device_count() - 1}")
    if device.type == "cuda":
        prepare_cuda(device)
    return device


def prepare_cuda(device: torch.device) -> None:
    """Make ``device`` the current one, and have it give the same bits in every run.

    CUDA's fastest sums take the order in which threads come. To be called before it computes anything; an operation
    that has no fixed order warns.
    """
    torch.cuda.set_device(device)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def set_precision(name: str) -> None:
    """Set the precision of matrix products, torch's ``highest``, ``high`` or ``medium``, in cuDNN's layers too.

    Left to itself, torch has cuDNN round to TF32 whatever is asked of the other products.
    """
    torch.set_float32_matmul_precision(name)
    torch.backends.cudnn.allow_tf32 = name != "highest"


def seed_everything(*keys: int | str) -> None:
    """Seed torch's generators from ``keys`` alone, so that an epoch's randomness does not depend on what ran before."""
    torch.manual_seed(seed_of(*keys))


def generator_of(*keys: int | str) -> torch.Generator:
    """A generator on the CPU, seeded from ``keys`` alone; torch's own are left as they are."""
    return torch.Generator().manual_seed(seed_of(*keys))


def seed_of(*keys: int | str) -> int:
    """64 bits of a hash of ``keys``."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, keys)).encode(), digest_size=8).digest(), "big")

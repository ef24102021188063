"""An entry of ``runs``, and the block ``epochs_per_job``."""

from typing import Annotated

from pydantic import Field

from natural_sparsity.config.base import UNIQUE, UNIQUE_ITEMS, Block, Epochs, Seed


class Run(Block):
    """A model that is trained on data, once for each seed."""

    renamed = {"corpus": "data", "task": "data"}

    data: str = Field(description="Name of the data.")
    model: str = Field(description="Name of the model.")
    seeds: Annotated[list[Seed], UNIQUE, UNIQUE_ITEMS] = Field(
        [1],
        min_length=1,
        max_length=1000,
        description="The model is trained once per seed, which determines initial weights, dropout and generated data.",
    )
    epochs: Epochs = Field(
        50,
        description="Passes over the training split; for generated data, epochs of `training.steps` steps.",
    )
    first_epoch_checkpoints: int = Field(
        0,
        ge=0,
        le=30,
        description=(
            "How many checkpoints to keep inside the first epoch: N keeps those after steps 1, 2, 4, …, 2^(N−1). A"
            " separate job repeats the first epoch to write them, and probes with `weights: frozen` read them; changing"
            " N trains no model again. Every seed has its own, each at most as large on disk as an epoch's checkpoint."
        ),
    )
    probes: Annotated[list[str], UNIQUE, UNIQUE_ITEMS] | None = Field(
        None,
        min_length=1,
        description="Names of probes; all of them by default. Only data of kind `text` and `shuffled` can be probed.",
    )


class EpochsPerJob(Block):
    """How many epochs one job takes. Raise it where an epoch is shorter than the start of a job.

    Every epoch keeps its own files. Leave the numbers of a finished run as they are: changing them regroups its epochs
    into new jobs, which all run.
    """

    renamed = {"train_epoch": "train"}

    train: Epochs = Field(1, description="Epochs trained in one job.")
    probe: Epochs = Field(1, description="Checkpoints probed in one job.")

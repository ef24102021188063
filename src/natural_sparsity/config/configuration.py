"""The whole configuration."""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Field, Tag

from natural_sparsity.config.base import NAME, WORDS, Block, make_name, one_of
from natural_sparsity.config.data.base import Kind
from natural_sparsity.config.model import Model
from natural_sparsity.config.probe import Probe
from natural_sparsity.config.run import EpochsPerJob, Run
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.config.style import Style
from natural_sparsity.registry import DATA, FIGURES, load

# Names that results use for other files and folders, next to those of data, models and probes.
RESERVED = "figures|explorer|logs|benchmarks"
RESERVED_FOR_PROBES = (
    "figures|init|logs|benchmarks|parameters|state|evaluation|structure|footprint|speedup|folded|export|units|line"
    "|epoch[0-9]+|step[0-9]+|rewind[0-9]+|seed[0-9]+"
)
ALL_FIGURES = "all"


def read_kind(value: Any) -> str | None:
    """Return the kind of data that a block names; text unless it names one."""
    if isinstance(value, Kind):
        return value.kind
    return str(value.get("kind", "text")) if isinstance(value, dict) else None


def restrict_names(reserved: str) -> dict[str, Any]:
    """What JSON Schema says of the names of blocks."""
    return {"propertyNames": {"pattern": NAME, "not": {"pattern": f"^({reserved})$"}}}


if TYPE_CHECKING:
    Data = Kind
    Name = str
    ProbeName = str
    FigureName = str
else:
    Data = Annotated[
        Union[tuple(Annotated[load(entry.settings).Settings, Tag(name)] for name, entry in DATA.items())],  # noqa: UP007
        Discriminator(read_kind),
    ]
    Name = make_name(RESERVED)
    ProbeName = make_name(RESERVED_FOR_PROBES)
    FigureName = one_of([ALL_FIGURES, *FIGURES], renamed={"overlap": "units"})


class Configuration(Block):
    """What is trained on what, how it is probed and drawn, and where it runs."""

    renamed = {"corpora": "data", "tasks": "data", "task_models": "models"}

    name: Name | None = Field(
        None,
        description=(
            "Name of the experiment; its tables and figures go to `results/experiments/NAME`. By default, the name"
            " of the last file after `--configfile`, without its ending."
        ),
    )
    data: dict[Name, Data] = Field(
        min_length=1, description="The data that models train on, by name.", json_schema_extra=restrict_names(RESERVED)
    )
    models: dict[Name, Model] = Field(
        min_length=1, description="The models, by name.", json_schema_extra=restrict_names(RESERVED)
    )
    runs: list[Run] = Field(min_length=1, description="What is trained on what.")
    probes: dict[ProbeName, Probe] = Field(
        default_factory=lambda: {"frozen": Probe()},
        min_length=1,
        description="The conditions under which sparsity is measured, by name. By default, one called `frozen`.",
        json_schema_extra=restrict_names(RESERVED_FOR_PROBES),
    )
    epochs_per_job: EpochsPerJob = Field(
        default_factory=EpochsPerJob, description="How many epochs one job trains or probes."
    )
    statistics: Statistics = Field(default_factory=Statistics, description="The bootstrap over words.")
    figures: dict[FigureName, Style] = Field(
        default_factory=dict,
        description="Styles by figure. `all` applies to every figure; a figure's own block overrides it.",
        json_schema_extra={"propertyNames": {"enum": [ALL_FIGURES, *FIGURES]}},
    )
    device: str = Field(
        "auto",
        pattern="^(auto|cpu|cuda(:[0-9]{1,2})?)$",
        description="Where to train and probe; `auto` is CUDA where there is a GPU. Changing it reruns nothing.",
        json_schema_extra={WORDS: "auto, cpu, cuda or cuda:N"},
    )
    save_interval_s: int = Field(
        600,
        ge=1,
        le=10_000_000,
        description=(
            "Seconds between the saves that training makes inside an epoch. A killed job resumes from its last"
            " save when it is run again. Changing it reruns nothing."
        ),
    )

    def text_of(self, data: str) -> str:
        """The name of the data that are prepared from files for some data: their own, or the text that they shuffle."""
        return str(getattr(self.data[data], "of", data))

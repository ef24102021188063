# What commands are called with, and where the report lists what they make.
import re
import shlex
from functools import cache, reduce

from natural_sparsity import registry
from natural_sparsity.cli import COMMANDS
from natural_sparsity.config.experiment import to_json
from natural_sparsity.config.rules import Subject, expect, expect_parents, folders, give, options, refuse
from natural_sparsity.provenance import digest_code, find_commit

digest = cache(digest_code)
subject = Subject(experiment)

# Long command lines go through a pipe: Linux allows 128 KiB per argument, and a few megabytes in all.
shell.prefix(
    'set -euo pipefail; natural-sparsity() {{ local words="$*"; if ((${{#words}} < 30000)); then command natural-sparsity "$@";'
    ' else command natural-sparsity --arguments <(printf "%s\\0" "$@"); fi; }}; '
)


def folded(wildcards):
    """A parameter: ``--folded`` if the wildcards' model has a method that removes gates and neurons."""
    return ["--folded"] if experiment.folds(wildcards.model) else []


def setting(*keys, of="settings"):
    """A parameter: a setting of the wildcards' data, or of the ``text`` whose words they have."""
    return lambda wildcards: reduce(getattr, (of, *keys), experiment.data[wildcards.data])


def block(*keys):
    """A parameter: a block of the wildcards' model, or a value in one, as JSON."""
    return lambda wildcards: to_json(reduce(getattr, keys, experiment.models[wildcards.model]))


def moving(wildcards):
    """Whether the wildcards' probe measures while an epoch trains, so that the epoch is trained again."""
    return experiment.probes[wildcards.probe].weights == "training"


def unit(wildcards):
    """A parameter: what the tokens of the wildcards' data are, or of all that are compared."""
    return experiment.unit(wildcards.get("data"))


def code(name, *choosers):
    """A parameter: the digest of the code of a command or a module, and of the modules that ``choosers`` name."""
    own = digest(COMMANDS[name][0] if name in COMMANDS else name)
    if not choosers:
        return own
    return lambda wildcards: [own, *(digest(module) for choose in choosers for module in choose(wildcards))]


def kind(wildcards):
    """The module of the wildcards' kind of data."""
    return [registry.DATA[experiment.data[wildcards.data].kind].implementation]


def readers(wildcards):
    """The modules of the formats that the wildcards' data may have."""
    name = experiment.data[wildcards.data].settings.format
    return [module for format, module in registry.FORMATS.items() if name in (format, "auto")]


def method(wildcards):
    """The module of a sparsified model's method; none for a dense one."""
    name = experiment.models[wildcards.model].method
    return [registry.METHODS[name].implementation] if name else []


def measures(wildcards):
    """The modules of the measures of the wildcards' probe."""
    return sorted({registry.MEASURES[name].split(":")[0] for name in experiment.probes[wildcards.probe].measures})


def inputs(wildcards, input):
    """A parameter: the inputs as options of the command."""
    return options(input)


def inputs_of_run(wildcards, input):
    """A parameter: the inputs as options of the command, and the run that they must be of, as ``--expect``."""
    return f"{options(input)} {expect(wildcards)}"


def checkpoint(wildcards, output):
    """A parameter: the folders of the outputs, which are checkpoints."""
    return folders(output)


def numbers(job, name):
    """A parameter: the numbers of a job's checkpoints, which are called ``name`` and the number."""
    return [checkpoint.removeprefix(name) for checkpoint in job.checkpoints]


def in_folder(name, suffix):
    """A parameter: one file per shard in the folder that is the output or input called ``name``."""
    return lambda wildcards, input, output: [
        f"{output.get(name) or input.get(name)}/{shard}{suffix}" for shard in experiment.data[wildcards.data].shards
    ]


def stem(wildcards, output):
    """A parameter: the output's path without its suffix."""
    return os.path.splitext(output[0])[0]


def said(step, checkpoints=()):
    """A message: what a job does, and with what. ``checkpoints``: several, or one with wildcards in its name."""
    several = f"checkpoints={' '.join(checkpoints)}," if len(checkpoints) > 1 else ""
    joint = ", " if ":" in step else ": "
    return f"{step}{joint}{{subject:{{wildcards}},{several}}}"


def measure(wildcards):
    """A parameter: the wildcards' measure."""
    return wildcards.measure


def given(**settings):
    """The parameters of a command that are its options."""

    def words(wildcards):
        return give({name: value(wildcards) if callable(value) else value for name, value in settings.items()})

    return dict(given=words, **settings)


def given_settings(*names, of="settings"):
    """The settings of the wildcards' data, or of blocks in them (``block.key``), as options of the command."""
    return given(**{name.split(".")[-1]: setting(*name.split("."), of=of) for name in names})


def titled(title):
    """A parameter: the title of a table, with the values of its wildcards."""

    def whole(wildcards):
        about = [f"seed {value}" if key == "seed" else value for key, value in wildcards.items() if key != "table"]
        return f"{title}: {', '.join(about)}" if about else title

    return whole


def title(name):
    """What a product is called where the report lists it: the comment at the head of its caption."""
    path = Path(workflow.basedir, f"workflow/report/{name}.rst")
    first = path.read_text(encoding="utf-8").partition("\n")[0] if path.is_file() else ""
    if not first.startswith(".. "):
        sys.exit(f"{path}: write a caption for {name}, with its title in the first line: .. TITLE")
    return first[3:]


def numbered(title):
    """A title as a reader meets it outside the report, whose categories say that it lists figures: `Figure 2: …`."""
    return re.sub(r"^(?=\d)", "Figure ", title)


def in_report(path, name, **labels):
    """A file in the report: its caption, its place, and labels by the wildcards in its path."""
    wildcards = set(re.findall(r"{(\w+)", path)) - {"figure", "table"}
    condition = ("Claims, " if name in ("claims", "verdicts") else "Figures, ") + "probed {probe}"
    about = "Sparsified models" if name in ("lottery", "footprint", "stability") else "Training"
    axes = [axis for axis in ("measure", "seed") if axis in wildcards] + ["data"] * (wildcards == {"data"})
    return report(
        path,
        caption=f"../report/{name}.rst",
        category="{data}, {model}" if "model" in wildcards else "All runs",
        subcategory=condition if "probe" in wildcards else about if "model" in wildcards else None,
        labels={"shows": title(name), **labels, **{axis: f"{{{axis}}}" for axis in axes}},
    )


def figure(folder, name):
    """A figure's files; its picture and its numbers go into the report. Its name is the wildcard ``figure``."""
    stem = f"{folder}/{{figure,{name}}}"
    in_forms = {".png": "picture", ".csv": "table (CSV)"}
    return [f"{stem}.pdf", *(in_report(f"{stem}{suffix}", name, form=form) for suffix, form in in_forms.items())]


def table(folder, name):
    """A table's files; its page goes into the report. Its name is the wildcard ``table``."""
    stem = f"{folder}/{{table,{name}}}"
    return [f"{stem}.parquet", f"{stem}.csv", f"{stem}.md", in_report(f"{stem}.html", name, form="table")]


def targets(*names):
    """All files of the tables and figures of these names."""
    kinds = {"tabulate": registry.TABLES, "draw": registry.FIGURES}
    pairs = [(name, f"{kind}_{name}") for name in names for kind, registered in kinds.items() if name in registered]
    outputs = [(name, output) for name, rule in pairs for output in getattr(rules, rule).output]
    return [path for name, output in outputs for path in experiment.targets(name, output)]

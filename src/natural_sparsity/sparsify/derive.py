"""From a block ``models.NAME.sparsify`` to the models that it stands for, and the checkpoints that each starts from.

A method with levels gives a model a level, and one more a level for each control: ``NAME-level2``,
``NAME-level2-random_mask``. Each is a model like any other, with two keys of its own: ``parents``, the checkpoints that
it starts from, as (model, epoch), and ``rewind``, the epoch that it starts at. A student starts from none of them, but
from random weights of its own.
"""

from collections.abc import Iterator
from typing import Any

from natural_sparsity.errors import UserError

Config = dict[str, Any]
Parent = tuple[str, int | str]

INIT, LAST = 0, "last"
# The methods whose models are not of the architecture of the model that they are made of.
OWN_ARCHITECTURE = {"distil"}
# The methods that work on a task's model: they know of a model only its parameters.
OF_TASKS = ("iterative", "one_shot", "gradual", "moduli")
# The methods that know the gates of an LSTM.
OF_LSTMS = ("sparse_vd", "group_lasso", "gradual_groups")

# The keys of a block that say which models it stands for, and nothing of how one is trained.
NOT_OF_A_MEMBER = ("of", "levels", "controls", "retrain")


def expand(config: Config, blocks: str = "models") -> Config:
    """``config`` with every sparsified model, and every run of one, replaced by those that it stands for.

    ``blocks`` is what the models' key is called in messages.

    Raises:
        UserError: a block that names no dense model, two models of one name, or a run without its dense model's.
    """
    models: Config = {}
    members: dict[str, list[str]] = {}
    for name, block in config["models"].items():
        found = (
            derived(name, block, config["models"], blocks) if block.get("sparsify") else {name: dense(block, blocks)}
        )
        for member in found:
            if member in models or (member != name and member in config["models"]):
                raise UserError(f"{blocks}.{name}: {member} is also the name of another model; rename one")
        models.update(found)
        members[name] = list(found)
    for i, run in enumerate(config["runs"]):
        check_run(run.pop("entry", i), run, config)
    runs = [{**run, "model": member} for run in config["runs"] for member in members[run["model"]]]
    return {**config, "models": models, "runs": runs}


def dense(block: Config, blocks: str) -> Config:
    """A model that no method touches; Adam, where ``models`` ask for it, is a method of its own."""
    training, sparsify = block["training"], {}
    if blocks == "models" and training["optimiser"] == "adam":
        sparsify = {"method": "adam", **{key: training[key] for key in ("learning_rate", "clip")}}
        sparsify["dropout"] = block["architecture"]["dropout"]
    return {**block, "sparsify": sparsify, "parents": {}, "rewind": 0}


def derived(name: str, block: Config, models: Config, blocks: str) -> dict[str, Config]:
    """The models that the block stands for, by name."""
    check_effect(f"{blocks}.{name}.sparsify", block["sparsify"])
    settings = {key: value for key, value in block["sparsify"].items() if key not in NOT_OF_A_MEMBER}
    base = block["sparsify"].get("of")
    if settings["method"] in OF_LSTMS:
        cell = models.get(base, block).get("architecture", {}).get("cell", "lstm")
        if cell != "lstm":
            raise UserError(
                f"{blocks}.{name}.sparsify: {settings['method']} is for LSTMs, and the model's cell is {cell}"
            )
    if settings["method"] == "qat" and models.get(base, {}).get("architecture", {}).get("cell") == "rnn":
        raise UserError(f"models.{name}.sparsify: qat is for LSTMs and GRUs, and the model's cell is rnn")
    if base is None:
        if settings.get("rewind"):
            raise UserError(f"{blocks}.{name}.sparsify.rewind: to start from a trained model, name it: of")
        return {name: {**dense(block, blocks), "sparsify": settings, "family": name}}
    begin, end = settings.get("begin", 0), settings.get("end", 1)
    if end <= begin:
        raise UserError(f"{blocks}.{name}.sparsify: begin is {begin} and end is {end}; pruning ends after it begins")
    if base not in models or models[base].get("sparsify"):
        known = ", ".join(model for model, other in models.items() if not other.get("sparsify"))
        raise UserError(f"{blocks}.{name}.sparsify.of: {base!r} is no dense model; those are {known}")
    if dense(models[base], blocks)["sparsify"] and settings["method"] != "sparse_vd":
        raise UserError(f"models.{name}.sparsify: {settings['method']} descends by SGD, and {base} by Adam; of another")
    shared = {key: models[base][key] for key in ("architecture", "training")}
    if settings["method"] in OWN_ARCHITECTURE:
        shared["architecture"] = block["architecture"]
    shared |= {"of": base, "family": name}
    if settings["method"] == "moduli":
        settings.setdefault("inverted", settings["inhibitor"] == "dog")  # as the authors mean each
    return {
        member: {**shared, "rewind": first_of(parents), "sparsify": {**settings, **own}, "parents": parents}
        for member, own, parents in levels(name, block["sparsify"])
    }


def first_of(parents: dict[str, Parent]) -> int:
    """The epoch that a model starts at."""
    epoch = parents["start"][1] if "start" in parents else INIT
    assert isinstance(epoch, int)
    return epoch


def check_effect(key: str, block: Config) -> None:
    """A penalty penalises something, and its control has something to control.

    Raises:
        UserError: it does not.
    """
    if block["method"] == "group_lasso" and not any(block["strengths"].values()):
        raise UserError(f"{key}.strengths: all are 0; give one that is not, or prune with gradual_groups")
    if block["method"] == "moduli" and block["strength"] == 0 and block["control"] != "none":
        raise UserError(f"{key}.control: {block['control']} controls a penalty, and strength is 0; leave it out")


def levels(name: str, sparsify: Config) -> Iterator[tuple[str, Config, dict[str, Parent]]]:
    """Name, settings of its own and parents of each level and of its controls; without levels, of the model itself.

    The parent ``start`` gives the weights and the state that training starts with; the weights or masks of the
    parent ``masks`` decide which weights are kept; a student learns from its parent ``teacher``, fully trained.
    """
    base = sparsify["of"]
    if sparsify["method"] == "distil":
        yield name, {"family": name, "role": "student"}, {"teacher": (base, LAST)}
        for control in sparsify["controls"]:
            yield f"{name}-{control}", {"family": name, "role": control}, {}
        return
    start = {"start": (base, sparsify.get("rewind", INIT))}
    if "levels" not in sparsify:
        yield name, {"family": name, "role": sparsify["method"]}, start
        if sparsify.get("retrain"):
            yield f"{name}-retrained", {"family": name, "role": "retrained"}, {**start, "masks": (name, LAST)}
        return
    gradual = sparsify["method"].startswith("gradual")
    role = "gradual" if gradual else "ticket"  # which goes back to the dense model's early weights
    for level in range(1, sparsify["levels"] + 1):
        own = {"family": name, "level": level, "density": (1 - sparsify["fraction"]) ** level, "role": role}
        member = f"{name}-level{level}"
        before = base if level == 1 or sparsify["method"] == "one_shot" else f"{name}-level{level - 1}"
        yield member, own, start if gradual else {**start, "masks": (before, LAST)}
        for control in sparsify.get("controls", []):
            changed, begin = {**own, "role": control}, start
            if control == "random_init":
                # Trained from the first epoch on, as those weights were that the ticket goes back to.
                changed["rewind"], begin = INIT, {"start": (base, INIT)}
            yield f"{member}-{control}", changed, {**begin, "masks": (member, INIT)}


def check_run(i: int, run: Config, config: Config) -> None:
    """A run of a sparsified model has the run of its dense model to start from, and epochs left to train.

    Raises:
        UserError: it has not.
    """
    sparsify = config["models"][run["model"]].get("sparsify") or {}
    base, rewind = sparsify.get("of"), sparsify.get("rewind", 0)
    if rewind >= run["epochs"]:
        raise UserError(
            f"runs.{i}: {run['model']} starts from epoch {rewind}, which leaves none of {run['epochs']} epochs to train"
        )
    end = sparsify.get("end", sparsify.get("ramp", 0))
    if end > run["epochs"]:
        late = f"is not at its density before epoch {end}"
        raise UserError(f"runs.{i}: {run['model']} {late}, but its run has {run['epochs']} epochs")
    if base is None:
        return
    # What prunes the trained weights, or is compared with them, needs as many epochs as it trains for itself.
    needed = run["epochs"] if "levels" in sparsify else rewind
    dense_runs = [r for r in config["runs"] if (r["corpus"], r["model"]) == (run["corpus"], base)]
    if any(r["epochs"] >= needed and set(run["seeds"]) <= set(r["seeds"]) for r in dense_runs):
        return
    raise UserError(
        f"runs.{i}: {run['model']} starts from {base}: give {base} a run on {run['corpus']} with seeds"
        f" {', '.join(map(str, run['seeds']))} and {max(needed, 1)} epochs or more"
    )

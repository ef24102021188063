"""How long the deprecated torch.ao is needed: each test fails when it is time to replace it, and says what to do."""

import contextlib
import copy
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import natural_sparsity

PLACE = "model/eight_bits.py"


def test_only_one_module_uses_torch_ao():
    """So that there is one place to change."""
    package = Path(natural_sparsity.__file__).parent
    modules = {str(path.relative_to(package)): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert [name for name, text in modules.items() if "torch.ao.quantization" in text] == [PLACE]
    assert modules[PLACE].count("torch.ao.quantization") == 1, "call it from to_eight_bits alone"


def test_torch_still_has_dynamic_quantisation():
    assert hasattr(getattr(torch.ao, "quantization", None), "quantize_dynamic"), (
        f"torch {torch.__version__} no longer has torch.ao.quantization.quantize_dynamic: in to_eight_bits ({PLACE}),"
        " use what quantises LSTMs and GRUs now, or keep torch at the version before"
    )


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_torchao_does_not_quantise_recurrent_layers_yet(layer):
    """It leaves them as they are, or refuses them. Skipped where it is not installed."""
    torchao = pytest.importorskip("torchao.quantization")
    model = nn.ModuleDict({"recurrent": layer(32, 32), "linear": nn.Linear(32, 32)})
    before = copy.deepcopy(model["recurrent"].state_dict())
    configuration = torchao.Int8DynamicActivationInt8WeightConfig()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchao.quantize_(model, configuration)
        assert type(model["linear"].weight) is not nn.Parameter, "torchao quantised nothing: this test is out of date"
        with contextlib.suppress(Exception):  # whatever it raises, it cannot
            torchao.quantize_(model, configuration, filter_fn=lambda module, name: isinstance(module, layer))
    after = model["recurrent"].state_dict()
    same = type(model["recurrent"]) is layer and all(
        type(after[name]) is type(weight) and after[name].dtype == weight.dtype for name, weight in before.items()
    )
    assert same, f"torchao quantises {layer.__name__} now: replace torch.ao by it in to_eight_bits ({PLACE})"

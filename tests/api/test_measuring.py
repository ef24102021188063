"""Measuring raw vectors and models in memory: like the workflow's probe, and like plain autograd."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import natural_sparsity as ns
from natural_sparsity.registry import MEASURES

WORDS = 23
IDS = np.random.default_rng(1).integers(WORDS, size=60)


class Plain(nn.Module):
    """A language model as many write it; the options change what it is made of or how it uses that."""

    def __init__(self, kind="LSTM", layers=2, bias=True, batch_first=False, scale=1.0, residual=False, tied=False):
        super().__init__()
        torch.manual_seed(0)
        self.drop, self.embed = nn.Dropout(0.5), nn.Embedding(WORDS, 8)
        self.rnn = getattr(nn, kind)(8, 8, layers, bias=bias, batch_first=batch_first)
        self.read = nn.Linear(8, WORDS, bias=bias)
        self.scale, self.residual = scale, residual
        if tied:
            self.read.weight = self.embed.weight

    def forward(self, inputs, state):
        """Log-probabilities, flat, and the state."""
        embedded = self.drop(self.embed(inputs))
        hidden, state = self.rnn(embedded, state)
        hidden = hidden + embedded if self.residual else hidden
        return torch.log_softmax(self.scale * self.read(self.drop(hidden)), -1).view(-1, WORDS), state


def naive_chi(vectors):
    return np.linalg.norm(vectors, axis=-1) / np.abs(vectors).sum(-1)


def test_sparsity_of_raw_vectors_of_any_shape():
    vectors = np.random.default_rng(0).normal(size=(3, 4, 50)) * 1e-20
    np.testing.assert_allclose(ns.sparsity(vectors), naive_chi(vectors * 1e20), rtol=1e-12)
    assert ns.sparsity([3, -4]) == pytest.approx(5 / 7)
    for same in (vectors.tolist(), vectors[::-1][::-1], vectors.astype(">f8"), list(torch.tensor(vectors))):
        assert np.array_equal(ns.sparsity(same), ns.sparsity(vectors)), "a list keeps double precision"
    assert ns.sparsity(pd.Series([3e300, -4e300])) == pytest.approx(5 / 7)
    of_tensor = ns.sparsity(torch.tensor(vectors, dtype=torch.float32, requires_grad=True))
    assert isinstance(of_tensor, torch.Tensor)
    assert (of_tensor.shape, of_tensor.dtype) == ((3, 4), torch.float64)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_takes_raw_vectors(measure):
    vectors = np.random.default_rng(0).normal(size=(6, 40))
    before = vectors.copy()
    values = ns.sparsity(vectors, measure)
    assert values.shape == (6,) and np.isfinite(values).all()
    np.testing.assert_allclose(ns.sparsity(-1e6 * vectors, measure), values, rtol=1e-9)
    assert np.array_equal(vectors, before)
    assert np.isnan(ns.sparsity([[0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0]], measure)).all()
    peak, flat = np.eye(40)[0], np.ones(40)
    assert ns.sparsity(peak, measure) > ns.sparsity(flat, measure)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([1, 2], "xi"), r"^measure: 'xi' is not one of chi, hoyer, gini"),
        ((3,), r"^vectors: shape \(\), torch.float64; give real numbers of shape \(…, d\)"),
        (([[1, 2], [3]],), r"^vectors: not an array of numbers"),
        ((np.ones((2, 0)),), r"^vectors: shape \(2, 0\)"),
        (([1j],), r"^vectors: shape \(1,\), torch.complex128; give real numbers"),
        (([1, 2], ["chi"]), r"^measure: \['chi'\] is not one of chi"),
        ((["1", "2"],), r"^vectors: not an array of numbers \(its entries are <U1\)"),
        ((np.ma.array([1.0, 2.0], mask=[0, 1]),), r"^vectors: a masked array"),
        ((torch.eye(2).to_sparse(),), r"^vectors: a sparse, nested or quantised tensor; give a dense one"),
    ],
)
def test_what_is_no_vector_is_refused_in_one_line(given, message):
    with pytest.raises(ns.UserError, match=message) as caught:
        ns.sparsity(*given)
    assert "\n" not in str(caught.value)


def test_epsilon_is_that_of_l0():
    assert ns.sparsity([1.0, 0.3, 0.05], "l0") == pytest.approx(1 / 3)
    assert ns.sparsity([1.0, 0.3, 0.05], "l0", epsilon=0.5) == pytest.approx(2 / 3)
    with pytest.raises(ns.UserError, match="^epsilon: 2 is not a number above 0 and below 1"):
        ns.sparsity([1.0], "l0", epsilon=2)


@pytest.mark.integration
def test_a_probe_in_memory_equals_the_workflows(results):
    run = ns.open(results / "runs/d/m/seed3")
    model = run.model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tokens = np.load(results / "train.npy")
    mine = ns.probe(model, tokens, run.words, measures=["chi", "gini"], batch=8)
    theirs = run.probes(checkpoint="epoch2")
    theirs = theirs[theirs["tensor"] != "static"].reset_index(drop=True)
    for column in (
        "id",
        "word",
        "count",
        "positions",
        "chi_mean",
        "chi_variance",
        "gini_mean",
        "surprisal_mean",
        "l2_mean",
    ):
        assert mine[column].tolist() == theirs[column].tolist(), column
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.integration
def test_a_text_is_read_as_the_corpus_was(results):
    run = ns.open(results / "runs/d/m/seed3")
    model = run.model()
    of_text = ns.probe(model, "The cat sat. Xylophone!", run.words)
    eos, the, cat, sat = (
        int(run.words.loc[run.words["word"] == word, "id"].iloc[0]) for word in ("<eos>", "the", "cat", "sat")
    )
    of_ids = ns.probe(model, [eos, the, cat, sat, 0, eos, 0, 0, eos], run.words)  # full stops are unknown here, too
    pd.testing.assert_frame_equal(of_text, of_ids)
    targets = of_text[(of_text["role"] == "target") & (of_text["tensor"] == "h_1")]
    assert dict(zip(targets["word"], targets["positions"], strict=True)) == {
        "<unk>": 3,
        "<eos>": 2,
        "the": 1,
        "cat": 1,
        "sat": 1,
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"kind": "GRU", "bias": False}, {"kind": "RNN", "batch_first": True}, {"layers": 1, "tied": True}],
    ids=str,
)
def test_a_plain_torch_model_is_probed_as_autograd_says(options):
    model = Plain(**options)
    table = ns.probe(model, IDS, window=100)
    assert model.training, "its mode was changed"
    model.eval()
    ids = torch.from_numpy(IDS)
    inputs, targets = ids[:-1], ids[1:]
    embedded = model.embed(inputs)[:, None]
    hidden = model.rnn(embedded.transpose(0, 1) if options.get("batch_first") else embedded)[0].reshape(len(inputs), 8)
    hidden.retain_grad()
    embedded.retain_grad()
    logits = model.read(hidden)
    nn.functional.cross_entropy(logits, targets, reduction="sum").backward()
    top = f"h_{options.get('layers', 2)}"
    expected = {"h_e": embedded.detach()[:, 0], "grad_h_e": embedded.grad[:, 0], top: hidden.detach()}
    expected |= {f"grad_{top}": hidden.grad, "x": logits.detach().softmax(1)}
    for tensor, vectors in expected.items():
        chi = pd.Series(naive_chi(vectors.double().numpy())).groupby(targets.numpy()).mean()
        rows = table[(table["tensor"] == tensor) & (table["role"] == "target")].set_index("id")
        np.testing.assert_allclose(rows["chi_mean"], chi, rtol=1e-4, err_msg=tensor)
        assert rows["positions"].tolist() == pd.Series(targets.numpy()).value_counts().sort_index().tolist()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Plain(scale=2.0), "Plain does not apply its parts one after the other"),
        (Plain(residual=True), "Plain does not apply its parts one after the other"),
        (Plain().double(), "its weights are torch.float64"),
        (nn.Sequential(nn.Embedding(WORDS, 8), nn.LSTM(8, 8), nn.Linear(8, WORDS)), "forward does not take word ids"),
        (
            nn.Sequential(nn.Embedding(WORDS, 8), nn.LSTM(8, 4, bidirectional=True), nn.Linear(8, WORDS)),
            "both directions",
        ),
        (nn.Sequential(nn.Embedding(WORDS, 8), nn.GRU(8, 7), nn.Linear(8, WORDS)), "do not follow each other"),
        (nn.TransformerEncoderLayer(8, 2), "has MultiheadAttention, .*LayerNorm; supported are"),
        ("lstm", "str is no torch module; supported are"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_a_model_that_the_probe_does_not_know_is_refused_in_one_line(model, message):
    with pytest.raises(ns.UserError, match=f"^model: .*{message}") as caught:
        ns.probe(model, IDS)
    assert "\n" not in str(caught.value)


def test_a_model_that_differs_only_later_or_at_some_words_is_refused():
    class Later(Plain):
        def forward(self, inputs):
            return super().forward(inputs, None)[0] * (1 + (torch.arange(len(inputs)) > 20))[:, None]

    class Special(Plain):
        def forward(self, inputs):
            return super().forward(inputs.where(inputs != 1, 2), None)[0]

    for model, ids in ((Later(), IDS), (Special(), [0, 1, 2])):
        with pytest.raises(ns.UserError, match="^model: .* does not apply its parts one after the other"):
            ns.probe(model, ids)


def test_a_forward_needs_no_state_and_may_take_more():
    class Bare(Plain):
        def forward(self, inputs):
            return super().forward(inputs, None)[0]

    class More(Plain):
        def forward(self, inputs, *rest, **options):
            assert not rest and not options
            return super().forward(inputs, None)[0]

    torch.manual_seed(0)
    bare, more = Bare(), More()
    more.load_state_dict(bare.state_dict())
    pd.testing.assert_frame_equal(ns.probe(bare, IDS), ns.probe(more, IDS))


def test_a_model_whose_weights_are_not_finite_is_refused():
    broken = Plain()
    with torch.no_grad():
        broken.read.bias[0] = np.nan
    with pytest.raises(ns.UserError, match="^model: some of its weights are not finite"):
        ns.probe(broken, IDS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tokens": "a text"}, "^words: a text needs the model's vocabulary; give words=run.words"),
        ({"tokens": [0, WORDS]}, "^tokens: ids from 0 to 23, but the model has words 0 to 22"),
        ({"tokens": [0.5, 1.0]}, r"^tokens: float64 of shape \(2,\); give a text, or word ids"),
        ({"tokens": [1, 2, 3], "batch": 2}, "^tokens: 3 are too few for batch=2, which needs 4; lower batch"),
        ({"tokens": [1]}, "^tokens: 1 are too few for batch=1, which needs 2; give more"),
        ({"tokens": [[1, 2], [3]]}, "^tokens: no array .*; give a text, or word ids"),
        ({"tokens": IDS, "measures": "chi"}, r"^measures: 'chi' is no list; give one, such as \['chi'\]"),
        ({"tokens": IDS, "window": 0}, "^window: 0 is not an integer from 1"),
        ({"tokens": IDS, "measures": ["xi"]}, r"^measures\.0: 'xi' is not one of chi"),
        ({"tokens": IDS, "words": pd.DataFrame({"id": [0]})}, "^words: no column 'word'; give run.words"),
    ],
    ids=str,
)
def test_what_cannot_be_probed_is_refused_in_one_line(given, message):
    with pytest.raises(ns.UserError, match=message) as caught:
        ns.probe(Plain(), **given)
    assert "\n" not in str(caught.value)

"""Walks, place cells, and the error in centimetres."""

import math

import pytest
import torch
from scipy.special import softmax

from chains import Chain
from natural_sparsity.data.base import open_data

KIND = {"kind": "navigation", "steps": 30, "cells": 40}


@pytest.fixture(scope="module")
def walks():
    data = open_data("navigation", KIND)
    return data, data.draw(2000, torch.Generator().manual_seed(0))


def test_walks_stay_in_the_box_and_the_velocities_lead_along_them(walks):
    data, batch = walks
    begin, places = data.walks(2000, torch.Generator().manual_seed(0))
    assert torch.equal(batch.targets, places)
    assert torch.allclose(begin + batch.inputs.cumsum(0), places, atol=1e-5)
    assert float(places.abs().max()) <= 1.1 + 1e-6
    assert float(places.abs().max()) > 1.05, "walls are reached"


def test_speeds_and_turns_are_as_published():
    """Away from the walls: Rayleigh of scale 0.13 · 2π m/s, turns of 11.52 rad/s, steps of 0.02 s."""
    data = open_data("navigation", {**KIND, "side": 100.0, "steps": 100})
    moves = data.draw(500, torch.Generator().manual_seed(1)).inputs
    speeds = torch.linalg.vector_norm(moves, dim=-1) / 0.02
    scale = 0.13 * 2 * math.pi
    assert float(speeds.mean()) == pytest.approx(scale * math.sqrt(math.pi / 2), rel=0.01)
    headings = torch.atan2(moves[..., 1], moves[..., 0])
    turns = (headings.diff(dim=0) + math.pi).remainder(2 * math.pi) - math.pi
    assert float(turns.std()) == pytest.approx(11.52 * 0.02, rel=0.02)


def test_near_a_wall_the_walk_turns_along_it():
    data = open_data("navigation", KIND)
    place = torch.tensor([[1.09, 0.0], [1.09, 0.0], [0.0, -1.09], [1.09, 1.09]])
    heading = torch.tensor([0.3, math.pi - 0.3, -0.3, math.pi / 4])
    turned, near = data.avoid_walls(place, heading)
    assert near.tolist() == [True, False, True, True]
    assert turned.tolist() == pytest.approx([math.pi / 2, math.pi - 0.3, 0.0, math.pi / 4 - math.pi], abs=1e-5)


def test_activities_are_the_difference_of_softmaxes(walks):
    data, batch = walks
    place = batch.targets[3, :5].double().numpy()
    squares = ((place[:, None] - data.centres.double().numpy()) ** 2).sum(-1)
    apart = softmax(-squares / (2 * 0.12**2), 1) - softmax(-squares / (2 * 2 * 0.12**2), 1)
    raised = apart + abs(apart.min(1, keepdims=True))
    expected = raised / raised.sum(1, keepdims=True)
    assert torch.allclose(data.activities(batch.targets[3, :5]).double(), torch.from_numpy(expected), atol=1e-6)


def test_the_error_is_the_distance_in_centimetres(walks):
    """Of the mean of the three most active centres."""
    data, batch = walks
    outputs = torch.full((30, 2000, 40), -9.0)
    outputs[:, :, [4, 7, 11]] = 1.0
    place = data.centres[[4, 7, 11]].mean(0)
    expected = 100 * torch.linalg.vector_norm(place - batch.targets, dim=-1)
    assert torch.allclose(data.errors(outputs, batch), expected, atol=1e-3)


def test_the_published_cells_let_a_place_be_decoded():
    """From their own activities; many fewer cells of this width would not."""
    data = open_data("navigation", {"kind": "navigation"})
    batch = data.draw(50, torch.Generator().manual_seed(2))
    assert float(data.errors(data.activities(batch.targets), batch).mean()) < 6


def test_an_untrained_model_is_lost(tmp_path):
    """At 80 to 96 cm, as published."""
    block = {"kind": "navigation", "cells": 512, "seed": 1, "held_out": 300}
    chain = Chain(tmp_path, "navigation", block, {"hidden": [64]})
    chain.initialise()
    assert 70 < chain.evaluate("dense0")["score"] < 105


@pytest.mark.integration
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_cell_learns_from_the_start_and_resumes(tmp_path, cell):
    block = {"kind": "navigation", "steps": 5, "cells": 30, "width": 0.5, "seed": 1, "held_out": 100}
    architecture = {"cell": cell, "hidden": [24]}
    chain = Chain(tmp_path, "navigation", block, architecture, batch=32, steps=100, learning_rate=0.02)
    chain.initialise()
    chain.train("dense0", "a1", "a2")
    chain.train("a1", "b2")
    assert chain.bytes("a2") == chain.bytes("b2")
    assert float(chain.memory("a2")["exp_avg_sq.initial.weight"].max()) > 0
    assert chain.evaluate("a2")["score"] < 0.7 * chain.evaluate("dense0")["score"]

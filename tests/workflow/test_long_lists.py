"""What does not fit on a command line: the system refuses an argument of 128 KiB and some megabytes in all."""

import random

import pytest
from harness import Workflow

from natural_sparsity import files

WORDS = ["the", "a", "cat", "dog", "house", "sees", "likes", "tree", "bird", "and", "of", "in"]


@pytest.mark.slow
def test_three_thousand_files_are_read_trained_on_and_described(tmp_path):
    chosen = random.Random(1)
    names = [f"texts/{i:04} with 'some' \"quotes\" and $signs, as names in the wild have.txt" for i in range(3000)]
    (tmp_path / "texts").mkdir()
    for name in names:
        (tmp_path / name).write_text(" ".join(chosen.choices(WORDS, k=8)) + ".\n")
    data = {"source": {"path": names}, "format": "text", "shards": 2, "min_count": 2}
    data |= {"tagging": {"min_tagged": 3, "matched_size": 3}, "thresholds": {"fig2": 3, "fig5": 5}}
    run = {"data": "many", "model": "small", "seeds": [1], "epochs": 1}
    workflow = Workflow(tmp_path)
    workflow.run("text", "results/experiments/tiny/provenance.json", changes={"data": {"many": data}, "runs": [run]})
    account = files.read_json(tmp_path / "results/data/many/accounts/documents.json")
    assert account["documents"] == 3000
    described = files.read_json(tmp_path / "results/experiments/tiny/provenance.json")["configuration"]
    assert described["data"]["many"]["source"]["path"] == names
    assert workflow.planned("text", changes={"data": {"many": data}, "runs": [run]}) == {}

"""The table of claims: a row for each piece of evidence, a line for each claim, and the run that they are of."""

import re

import pandas as pd
import pytest

from example_claims import EPOCHS, REFUTED, make_tables
from example_products import write_correlations, write_state
from natural_sparsity.analysis.claims import CLAIMS, NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from natural_sparsity.cli import main


@pytest.fixture
def products(tmp_path):
    """The files of a run in which one claim fails and one cannot be told."""
    for frame, name in zip(make_tables(REFUTED["target words: strongly ∇h²"]), ("c", "d"), strict=True):
        write_correlations(tmp_path / f"{name}.parquet", frame)
    for epoch in EPOCHS:
        write_state(tmp_path / f"{epoch}.json", epoch=epoch)
    return tmp_path


def command(folder, *more):
    given = ["--correlations", f"{folder}/c.parquet", "--differences", f"{folder}/d.parquet"]
    given += ["--checkpoints", *(f"{folder}/{epoch}.json" for epoch in EPOCHS)]
    return ["tabulate", "claims", *given, "--title", "Claims: corpus/lstm", "--output", f"{folder}/claims", *more]


def test_the_table_for_machines_and_for_readers(products):
    main(command(products))
    table = pd.read_csv(products / "claims.csv", keep_default_na=False)
    assert table[["data", "model", "seed", "condition"]].drop_duplicates().values.tolist() == [
        ["corpus", "lstm", 1, "frozen"]
    ]
    verdicts = table.drop_duplicates("claim").set_index("claim")["verdict"]
    assert list(verdicts.index) == [claim.id for claim in CLAIMS]
    assert verdicts["target words: strongly ∇h²"] == NOT_REPRODUCED
    assert verdicts["input words: rise from the first drop"] == NOT_TESTABLE
    assert (verdicts == REPRODUCED).sum() == len(CLAIMS) - 2
    assert (table["because"] != "").equals(table["verdict"] == NOT_TESTABLE)
    row = table[table["claim"] == "target words: strongly ∇h²"].iloc[0]
    assert (float(row["value"]), row["n"], float(row["above"]), row["holds"]) == (0.25, "500", 0.3, "no")
    text = (products / "claims.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(CLAIMS) and all(line.replace("\\|", "").count("|") == 5 for line in lines)
    assert "**not testable here**, because the learning rate never dropped |" in text
    assert "ρ←(∇h²), epoch 9 = 0.25 [0.24, 0.26], n = 500: > 0.3? no | **not reproduced** |" in text
    assert text.startswith("# Claims: corpus/lstm\n\nClaims of Saphra & Lopez 2019. 9 epochs; the learning rate never")
    assert "95 % intervals from 1,000 bootstrap resamples of the words" in text


def test_the_page_names_a_claim_once(products):
    main(command(products))
    page = (products / "claims.html").read_text(encoding="utf-8")
    for claim in CLAIMS:
        assert len(re.findall(f"<td[^>]*>{re.escape(claim.id)}</td>", page)) == 1
    assert '<td class="bad">not reproduced</td>' in page


def test_characters_are_called_so(products):
    main(command(products, "--unit", "character"))
    text = (products / "claims.md").read_text(encoding="utf-8")
    assert "resamples of the characters" in text and "20 characters" in text


def test_tables_that_do_not_belong_together_are_refused(products):
    write_state(products / "9.json", epoch=10)
    with pytest.raises(SystemExit, match="--checkpoints: none of epoch 9"):
        main(command(products))
    write_state(products / "9.json", epoch=9, seed=2)
    with pytest.raises(SystemExit, match="--checkpoints: one is of corpus/lstm, seed 2, but .*c.parquet is of"):
        main(command(products))
    other = {"statistics": {"resamples": 200, "level": 0.95, "seed": 1}}
    write_correlations(products / "d.parquet", pd.read_parquet(products / "d.parquet"), **other)
    with pytest.raises(SystemExit, match=r"d\.parquet: not made together with .*c\.parquet"):
        main(command(products))
    assert not (products / "claims.csv").exists()

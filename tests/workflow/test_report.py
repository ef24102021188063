"""The report and the explorer of the tiny run: made without a network, whole, and readable in a browser."""

import base64
import html
import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml
from harness import ROOT, TINY, results_in

from natural_sparsity import registry

OF_MEASURE = ["fig2", "fig3a", "fig3b", "fig4", "fig5", "emergence"]
# Any attempt to reach a network fails at once; where the system lets us, there is no network at all.
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
NO_NETWORK = ["unshare", "--map-root-user", "--net"]


def may_unshare() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run([*NO_NETWORK, "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """The report's path."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    process = finished.snakemake("--report", str(path), environment=NOWHERE, prefix=NO_NETWORK if may_unshare() else [])
    assert process.returncode == 0, process.stderr[-3000:]
    assert "WARNING" not in process.stderr, "a caption is no valid reStructuredText"
    return path


@pytest.fixture(scope="module")
def results(report):
    return results_in(report)


def content(entry):
    return base64.b64decode(unquote(entry["data_uri"].split("base64,", 1)[1]))


def test_every_figure_and_table_is_in_the_report_as_it_is_on_disk(finished, results):
    experiment = "results/experiments/tiny"
    run = f"{experiment}/tiny/small"
    stems = [
        f"{experiment}/figures/architecture",
        f"{experiment}/figures/chi",
        f"{experiment}/figures/chi/comparison",
        f"{experiment}/tiny/figures/retention",
        f"{run}/figures/training",
        f"{run}/frozen/figures/acquisition",
        f"{run}/frozen/figures/claims",
    ]
    stems += [f"{run}/frozen/figures/chi/{name}" for name in OF_MEASURE]
    wanted = [f"{stem}.{form}" for stem in stems for form in ("png", "csv")]
    wanted += [f"{run}/seed1/frozen/claims.html", f"{run}/frozen/verdicts.html", f"{run}/frozen/acquisition.html"]
    wanted += [f"{experiment}/comparison.html", f"{experiment}/provenance.html"]
    assert sorted(results) == sorted(wanted)
    for path, entry in results.items():
        assert content(entry) == (finished.folder / path).read_bytes(), path


def test_every_caption_says_what_of_and_how_to_read_it(results):
    for path, entry in results.items():
        caption = re.sub("<[^>]+>", "", entry["caption"])
        assert "System Message" not in caption
        assert "{" not in caption
        if path.endswith("provenance.html"):
            continue
        assert "How to read it" in caption, path
        if "tiny/tiny/small" in path:
            assert "data tiny, model small, seeds 1; up to epoch 2" in " ".join(caption.split()), path
        if "/frozen/" in path:
            assert "condition frozen" in " ".join(caption.split()), path
    labels = {path: entry["labels"] for path, entry in results.items()}
    assert labels["results/experiments/tiny/tiny/small/frozen/figures/chi/fig3a.png"]["measure"] == "chi"
    assert labels["results/experiments/tiny/tiny/small/seed1/frozen/claims.html"]["seed"] == "1"


def test_the_configuration_and_the_versions_are_told(finished, results):
    page = content(results["results/experiments/tiny/provenance.html"]).decode()
    about = json.loads((finished.folder / "results/experiments/tiny/provenance.json").read_text())
    tiny = yaml.safe_load(TINY.read_text())
    assert about["configuration"]["models"]["small"]["training"]["learning_rate"] == 5
    assert about["configuration"]["models"]["small"]["training"]["clip"] == 0.25, "a default of the schema"
    assert about["configuration"]["data"]["tiny"]["min_count"] == tiny["data"]["tiny"]["min_count"]
    assert about["versions"]["snakemake"] == "9.27.1"
    (run,) = about["runs"]
    state = json.loads((finished.folder / "results/runs/tiny/small/seed1/epoch2/state.json").read_text())
    assert (run["data"], run["model"], run["seed"]) == ("tiny", "small", 1)
    assert (run["epochs"], run["last dev loss"]) == (2, state["dev_loss"])
    for text in ("learning_rate: 5", "9.27.1", about["commit"], state["versions"]["torch"]):
        assert text in page


def test_the_claims_table_can_be_read(finished, results):
    page = content(results["results/experiments/tiny/tiny/small/seed1/frozen/claims.html"]).decode()
    table = pd.read_csv(finished.folder / "results/experiments/tiny/tiny/small/seed1/frozen/claims.csv")
    page = page.partition("</table>")[0]  # after it, what the smallest effects are
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)[1:]]
    assert re.findall(r"<th>(.*?)</th>", page) == ["Claim", "Rule", "Evidence", "Verdict"]
    claims = table.drop_duplicates("claim")
    for column, name in (("statement", 0), ("rule", 1)):
        assert [html.unescape(row[name]) for row in rows] == claims[column].tolist()
    assert [re.match("<b>(.*?)</b>", row[3])[1] for row in rows] == claims["verdict"].tolist()


def test_run_times_are_in_the_report(report):
    (runtimes,) = re.findall(r'"values": (\[{"rule".*?\])', report.read_text())[:1]
    assert {"train", "probe", "draw_fig2"} <= {row["rule"] for row in json.loads(runtimes)}


@pytest.mark.browser
def test_the_report_opens_in_a_browser_without_a_network(new_page, report):
    page = new_page()
    errors, asked = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.get_by_text("tiny, small").first.click()
    page.get_by_text("Figures, probed frozen").first.click()
    page.locator("tbody tr").filter(has_text="3a").locator("a").first.click()
    picture = page.locator("img[src^='data:image/png']").last
    picture.wait_for()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 500")
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.browser
def test_the_explorer_of_a_run(copied, new_page):
    """What the page shows after the last epoch is what figure 5 and figure 3a are drawn from."""
    assert copied.planned("explorer") == {"pack": 1, "explore": 1, "explorer": 1}
    copied.run("explorer")
    page = new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((copied.folder / "results/experiments/tiny/explorer/index.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    correlations = pd.read_parquet(
        copied.folder / "results/experiments/tiny/tiny/small/seed1/frozen/correlations.parquet"
    )
    row = correlations.query(
        "epoch == 2 and role == 'target' and tensor == 'grad_h_2' and measure == 'chi' and words == 'all'"
        " and statistic == 'pearson'"
    )
    said = page.locator("#summary").inner_text()
    assert said.startswith(f"ρ← = {row['value'].item():.3f}:".replace("-", "−"))
    assert f"over the {int(row['n'].item()):,} words".replace(",", "\u202f") in said
    assert errors == []
    assert copied.planned("explorer") == {}


def test_every_figure_has_a_caption_and_a_title():
    for name in {*registry.FIGURES, *registry.TABLES, "provenance"}:
        title, blank, *caption = (ROOT / f"workflow/report/{name}.rst").read_text().splitlines()
        assert title.startswith(".. ") and "::" not in title, "the title is a comment, for the report's lists"
        assert blank == "" and caption

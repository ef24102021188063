"""The worked example of docs/own-data.md: a format of text."""

import pytest

from worked_examples import copy_project, follow, read_example, run_python

pytestmark = pytest.mark.integration
SUBTITLES = """1
00:00:01,000 --> 00:00:02,000
Who is
there?

2
00:00:03,000 --> 00:00:04,000
Me.
"""
CODE = """
from pathlib import Path
from natural_sparsity.corpus.readers.base import Account
from natural_sparsity.corpus.readers.read import read_documents
account = Account()
[document] = read_documents(Path("film.srt"), account=account)
assert document.text == "Who is there? Me.", document
assert account.formats == {"subrip": 1} and account.skipped == {"caption number or time": 4}, account
"""


def test_the_example_of_a_format_is_recognised_and_read(tmp_path):
    project = copy_project(tmp_path)
    follow(read_example("Add a format of text"), project)
    (tmp_path / "film.srt").write_text(SUBTITLES)
    run_python(CODE, project=project, folder=tmp_path)

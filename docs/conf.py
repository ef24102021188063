"""The documentation site: Sphinx, with the pages of this folder as they are. ``make docs`` builds it."""

import re
from importlib.metadata import version as read_version
from pathlib import Path

from pygments.lexers.python import PythonLexer
from sphinx.application import Sphinx

project = "natural-sparsity"
version = read_version(project)
extensions = [
    "myst_parser",  # pages in Markdown
    "sphinx_external_toc",  # their order, in _toc.yml
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings in Google's style
    "sphinx.ext.viewcode",
    "sphinx_argparse_cli",
]

# A forge shows the same pages, so headings get the anchors that it gives them.
myst_heading_anchors = 6

autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "natural-sparsity"

html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}

# Pages of the site that are files at the top of the repository. In this folder, a page that only links to the file
# stands in their place.
FILES = {"contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
# Where these files and the pages link to each other: paths in the repository, and on the site.
PATHS = {r"\]\(docs/": "](", **{rf"\]\((\.\./)?{file}": f"]({page}.md" for page, file in FILES.items()}}


def setup(app: Sphinx) -> None:
    """Teach Sphinx the language of rules, and which pages are files of the repository."""
    app.add_lexer("snakemake", PythonLexer)
    app.connect("source-read", read_page)


def read_page(app: Sphinx, page: str, content: list[str]) -> None:
    """Change a page's text, the only item of ``content``, from a forge's to this site's."""
    if page in FILES:
        path = Path(app.srcdir).parent / FILES[page]
        app.env.note_dependency(path)
        content[0] = path.read_text(encoding="utf-8")
    for old, new in PATHS.items():
        content[0] = re.sub(old, new, content[0])

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
myst_enable_extensions = ["html_image"]  # <img>, by which a page can give a width

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
    app.connect("autodoc-skip-member", skip_member)


def skip_member(app: Sphinx, what: str, name: str, member: object, skip: bool, options: object) -> bool | None:
    """Leave out the fields of named tuples, which the signature has and Python describes as aliases of numbers."""
    return True if (member.__doc__ or "").startswith("Alias for field number") else None


def read_page(app: Sphinx, page: str, content: list[str]) -> None:
    """Change a page's text, the only item of ``content``, from a forge's to this site's."""
    if page in FILES:
        path = Path(app.srcdir).parent / FILES[page]
        app.env.note_dependency(path)
        content[0] = path.read_text(encoding="utf-8")
    for old, new in PATHS.items():
        content[0] = re.sub(old, new, content[0])

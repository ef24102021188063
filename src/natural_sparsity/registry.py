"""Every kind of data, format of text, method, measure, figure and table by name, and the module that each is in.

Nothing is imported here: a step loads only what it runs, and its code digest covers nothing else. To add one, write a
settings file if it has settings (a class called ``Settings``), an implementation file, and an entry here.
"""

import importlib
from types import ModuleType
from typing import NamedTuple


class Entry(NamedTuple):
    """Where the settings and the implementation of something are: modules below the package."""

    settings: str
    implementation: str


DATA = {
    "text": Entry("config.data.text", "data.text"),
    "shuffled": Entry("config.data.shuffled", "data.text"),
    "classification": Entry("config.data.classification", "data.classification"),
    "addition": Entry("config.data.addition", "data.addition"),
    "navigation": Entry("config.data.navigation", "data.navigation"),
}
# Formats of text. "auto" takes the first that recognises the beginning of a file, else plain text.
FORMATS = {
    "mediawiki": "corpus.readers.mediawiki",
    "wikiextractor": "corpus.readers.wikiextractor",
    "text": "corpus.readers.text",
    "lines": "corpus.readers.lines",
    "wikitext": "corpus.readers.wikitext",
    "json": "corpus.readers.json_lines",
    "parquet": "corpus.readers.parquet",
}
METHODS = {
    "iterative": Entry("config.methods.iterative", "methods.lottery"),
    "one_shot": Entry("config.methods.one_shot", "methods.lottery"),
    "gradual": Entry("config.methods.gradual", "methods.gradual"),
    "distil": Entry("config.methods.distil", "methods.distil"),
    "qat": Entry("config.methods.qat", "methods.qat"),
    "moduli": Entry("config.methods.moduli", "methods.moduli"),
    "gradual_groups": Entry("config.methods.gradual_groups", "methods.gradual_groups"),
    "group_lasso": Entry("config.methods.group_lasso", "methods.group_lasso"),
    "sparse_vd": Entry("config.methods.sparse_vd", "methods.sparse_vd"),
    "twin": Entry("config.methods.twin", "methods.twin"),
}
# Objects: module:name.
MEASURES = {
    "chi": "probing.measures:CHI",
    "hoyer": "probing.measures:HOYER",
    "gini": "probing.measures:GINI",
    "kurtosis": "probing.measures:KURTOSIS",
    "l0": "probing.measures:L0",
}
FIGURES = {
    "architecture": "figures.architecture",
    "chi": "figures.chi",
    "retention": "figures.retention",
    "training": "figures.training",
    "fig2": "figures.fig2",
    "fig3a": "figures.fig3",
    "fig3b": "figures.fig3",
    "fig4": "figures.fig4",
    "fig5": "figures.fig5",
    "emergence": "figures.emergence",
    "acquisition": "figures.acquisition",
    "claims": "figures.claims",
    "comparison": "figures.comparison",
    "lottery": "figures.lottery",
    "structure": "figures.structure",
    "natural": "figures.natural",
    "units": "figures.units",
    "connectivity": "figures.connectivity",
    "network": "figures.network",
    "stability": "figures.stability",
}
TABLES = {
    "claims": "tables.claims",
    "verdicts": "tables.verdicts",
    "acquisition": "tables.acquisition",
    "comparison": "tables.comparison",
    "lottery": "tables.lottery",
    "footprint": "tables.footprint",
    "structure": "tables.structure",
    "natural": "tables.natural",
    "units": "tables.units",
    "moduli": "tables.moduli",
    "stability": "tables.stability",
}


def load(module: str) -> ModuleType:
    """Import a module below the package, such as ``figures.fig2``."""
    return importlib.import_module(f"natural_sparsity.{module}")

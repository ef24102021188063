"""A block ``figures.NAME``: the style of a figure."""

from typing import Annotated

from pydantic import Field

from natural_sparsity.config.base import Block
from natural_sparsity.errors import UserError

COLORS = 4  # that every figure can count on


class Style(Block):
    """The style of a figure."""

    width: float | None = Field(
        None, ge=0.5, le=20, description="Width, in inches. By default, each figure has its own width."
    )
    height: float | None = Field(
        None, ge=0.5, le=20, description="Height, in inches. By default, each figure has its own height."
    )
    dpi: float = Field(
        300.0,
        ge=10,
        le=1200,
        description="Resolution of the PNG and of the rasterised parts of the PDF, in dots per inch.",
    )
    font_size: float = Field(8.0, ge=1, le=100, description="Size of the text, in points.")
    line_width: float = Field(1.2, gt=0, le=100, description="Width of lines, in points.")
    marker_size: float = Field(3.5, gt=0, le=100, description="Size of markers, in points.")
    palette: str | Annotated[list[str], Field(min_length=COLORS, max_length=100)] = Field(
        "colorblind", description="Name of a seaborn palette, or a list of four colours or more."
    )
    colormap: str = Field("viridis", description="Matplotlib's colour map of heat maps.")
    intervals: bool | None = Field(
        None,
        description=(
            "Whether figures 3 and 4 show bootstrap intervals as bands. By default, figure 4 does and figure 3"
            " does not. Over several seeds, bands are always the spread of the seeds."
        ),
    )


def check_colors(style: Style, name: str) -> None:
    """Check that seaborn and matplotlib know the colours; both are imported only if the style names some.

    Raises:
        UserError: a line that begins with ``name`` and the key.
    """
    if "colormap" in style.model_fields_set:
        import matplotlib as mpl

        if style.colormap not in mpl.colormaps:
            raise UserError(f"{name}.colormap: {style.colormap!r} is unknown to matplotlib; 'cividis' is one")
    if "palette" not in style.model_fields_set:
        return
    if isinstance(style.palette, str):
        import seaborn as sns

        try:
            sns.color_palette(style.palette, COLORS + 1)
        except ValueError as error:
            raise UserError(f"{name}.palette: {style.palette!r} is unknown to seaborn; 'colorblind' is one") from error
        return
    from matplotlib.colors import is_color_like

    for color in style.palette:
        if not is_color_like(color):
            raise UserError(f"{name}.palette: {color!r} is no colour; write a name, or a code such as '#0173b2'")

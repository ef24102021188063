"""Figure 1 has what the probe measures, each arrow the way that its values go."""

from matplotlib.colors import to_rgb
from matplotlib.text import Annotation

from example_products import describe_depth
from natural_sparsity.figures import architecture
from natural_sparsity.figures.style import Style, write_symbol

TENSORS = describe_depth(2)


def test_every_probed_tensor_is_named_and_activations_go_up_gradients_down():
    table = architecture.list_elements()
    assert set(TENSORS) <= set(table["element"])
    for tensor in TENSORS:
        arrows = table[table["element"] == tensor]
        assert len(arrows) == 3
        assert ((arrows["to_y"] < arrows["y"]) == tensor.startswith("grad_")).all()
    style = Style()
    with style.apply():
        figure = architecture.plot(table, style)
        figure.draw_without_rendering()
    ax = figure.axes[0]
    names = {text.get_gid(): text for text in ax.texts if text.get_gid()}
    assert {name: text.get_text() for name, text in names.items()} == {
        **{name: f"${write_symbol(name)}$" for name in TENSORS},
        "logits": "logits",
    }
    heights = [names[name].get_position()[1] for name in ("h_e", "h_1", "h_2", "logits", "x")]
    assert heights == sorted(heights)
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text() and not isinstance(text, Annotation)]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_target_is_the_word_after_the_input():
    table = architecture.list_elements()
    middle = table[table["step"] == 0]
    assert "$x_{t-1}$" in set(middle.loc[middle["kind"] == "box", "text"])
    assert middle.loc[middle["element"] == "target", "text"].tolist() == ["target $x_{t}$"]


def test_the_gradient_at_the_logits_lies_below_the_softmax_and_its_output_above():
    table = architecture.list_elements()
    middle = table[table["step"] == 0].drop_duplicates("element").set_index("element")["y"]
    assert middle["linear"] < middle["grad_x"] < middle["softmax"] < middle["x"]


def test_gradients_come_back_through_time_where_the_recurrence_goes_on():
    table = architecture.list_elements()
    there, back = (table[table["kind"] == kind] for kind in ("recurrence", "time"))
    assert len(there) == len(back) == 6, "two layers, three steps"
    assert (there["to_x"] > there["x"]).all() and (back["to_x"] < back["x"]).all()
    assert sorted(zip(there["x"], there["to_x"], there["y"].round(), strict=True)) == sorted(
        zip(back["to_x"], back["x"], back["y"].round(), strict=True)
    )


def test_each_kind_of_arrow_has_its_own_look_and_the_legend_gives_it():
    table = architecture.list_elements()
    style = Style()
    with style.apply():
        figure = architecture.plot(table, style)
    arrows = table[table["to_x"].notna()]
    drawn = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    assert len(drawn) == len(arrows)
    colors = [to_rgb(arrow.arrow_patch.get_edgecolor()) for arrow in drawn]
    by_kind = dict(zip(arrows["kind"], colors, strict=True))
    for kind, color in zip(arrows["kind"], colors, strict=True):
        assert color == by_kind[kind]
    assert by_kind["time"] == by_kind["gradient"]
    assert len(set(by_kind.values())) == len(by_kind) - 1 == 4
    [legend] = figure.legends
    named = dict(zip((t.get_text() for t in legend.get_texts()), legend.get_lines(), strict=True))
    for kind, name in (("activation",) * 2, ("gradient", "gradient of the loss"), ("recurrence",) * 2):
        assert to_rgb(named[name].get_color()) == by_kind[kind]

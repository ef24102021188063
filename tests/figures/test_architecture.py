"""Figure 1 has what the probe measures, each arrow the way that its values go."""

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
        name: f"${write_symbol(name)}$" for name in TENSORS
    }
    heights = [names[name].get_position()[1] for name in ("h_e", "h_1", "h_2", "x")]
    assert heights == sorted(heights)
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text() and not isinstance(text, Annotation)]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_target_is_the_word_after_the_input():
    table = architecture.list_elements()
    middle = table[table["step"] == 0]
    assert "$x_{t-1}$" in set(middle.loc[middle["element"] == "box", "text"])
    assert middle.loc[middle["element"] == "target", "text"].tolist() == ["target $x_{t}$"]

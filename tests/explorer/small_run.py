"""What the explorer's small run consists of."""

from natural_sparsity import cli

TENSORS = ["h_e", "h_1", "h_2", "x", "grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]
HOSTILE = ["<script>alert(1)</script>", "$x$", "&lt;b&gt;", '"quoted"', "</script>", "%{y}", "été", "日本"]
WORDS = ["<unk>", "<eos>", "the", *HOSTILE, *(f"word{i}" for i in range(290))]
EPOCHS = [1, 2, 3, 4, 5]
DROPS = [2, 4]
PROBE = {"weights": "frozen", "dropout": False, "batch": 40, "measures": ["chi"]}
NEVER, UNDEFINED = WORDS.index("word20"), WORDS.index("word30")


def write_data(inputs: dict[str, list[str]], *more: str) -> None:
    """Run the command on ``inputs`` and further arguments."""
    cli.main(["pack", *(part for name, values in inputs.items() for part in (name, *values)), *more])

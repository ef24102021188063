# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From results to a finding
#
# This notebook opens the results of the default run (`make run`) and answers a question that no
# figure of the workflow answers: **does the sparsity of the gradient belong to the word, or to the
# place where the word stands?**
#
# Run it in the folder that holds `results/`. Open it in VS Code as it is, or turn it into a
# notebook with `jupytext --to ipynb docs/notebook.py`. The numbers in the text are from the default
# run, 2026-11-26. Yours will differ a little, since training is chaotic.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np

import natural_sparsity as ns

run = ns.open("results/runs/sample/lstm")
run.runs

# %% [markdown]
# A *run* is a model trained on data from one seed. It has a checkpoint after each epoch, and the
# untrained model.

# %%
run.checkpoints[["checkpoint", "tokens", "train_loss", "dev_loss"]]

# %%
ns.plot.training(run.checkpoints)

# %% [markdown]
# ## What was measured
#
# χ(v) = ‖v‖₂ / ‖v‖₁ says how concentrated a vector is. Larger is sparser. Scale and signs do not
# matter.

# %%
ns.sparsity([[1, 1, 1, 1], [4, 2, 1, 0], [0, -9, 0, 0]], measure="chi")

# %% [markdown]
# The probe averages χ of every activation and gradient over the positions of each word. `grad_h_2`
# is the gradient at the output of the top LSTM layer. The role `target` means: at the positions
# where the model should predict the word.

# %%
gradient = run.probes("grad_h_2", role="target")
last = gradient[gradient["epoch"] == gradient["epoch"].max()]
last.sort_values("count", ascending=False)[["word", "count", "pos_class", "positions", "chi_mean"]].head(10)

# %% [markdown]
# The paper found that χ of this gradient grows with the frequency of the word. The workflow's
# figures draw that, also from the tables in memory.

# %%
ns.plot.fig3a(run.correlations, run.checkpoints)

# %%
ns.plot.fig5(gradient, run.words, threshold=20)

# %% [markdown]
# ## A new question
#
# Words of equal frequency differ a lot in that figure. Each point is a mean over many positions. Do
# the positions of one word differ as much? The probe kept the variance over them, so we can split
# the variance of χ over all positions into two parts: *between* words, and *within* them. Their
# ratio says how much of χ the target word alone decides.


# %%
def share_between(rows):
    """The share of the variance of χ that lies between words."""
    n = rows["positions"] - rows["zeros"]
    mean = np.average(rows["chi_mean"], weights=n)
    between = (n * (rows["chi_mean"] - mean) ** 2).sum()
    return between / (between + (n * rows["chi_variance"]).sum())


by_target = run.probes(role="target")
real_words = by_target["id"] > 1  # without <unk> and <eos>
epochs = (by_target["epoch"] > 0) | (by_target["steps"] == 0)  # without checkpoints inside the first epoch
by_target = by_target[real_words & epochs & (by_target["tensor"] != "static")]

# %%
shares = by_target.groupby(["tensor", "epoch"], observed=True)[list(by_target)].apply(share_between).unstack("epoch")
shares.round(2)

# %% [markdown]
# In the untrained model, the word decides everything at `grad_h_2` (1.00): the model predicts all
# words alike, so each position of a word has the same gradient. After training, the word still
# decides .85. No other tensor comes close: the next is `h_2` with .32.
#
# A few words could be behind that: *the* alone is 7 % of the text, and its χ is the highest. So we
# leave out all words that occur 1,000 times or more.

# %%
rarer = by_target[by_target["count"] < 1000]
rarer.groupby(["tensor", "epoch"], observed=True)[list(rarer)].apply(share_between).unstack("epoch").round(2)

# %% [markdown]
# The share falls to .58, which is still twice that of any other tensor (`h_2` and `x`: .29).

# %%
figure, axes = plt.subplots(figsize=(5, 3))
for tensor, values in shares.iterrows():
    top = tensor == "grad_h_2"
    axes.plot(values.index, values, color="C2" if top else "0.7", linewidth=2 if top else 1)
axes.set(xlabel="epoch (0: untrained)", ylabel="share of the variance of χ\nbetween target words", ylim=(0, 1.05))
axes.annotate("∇h²", (shares.columns[-1], shares.loc["grad_h_2"].iloc[-1]), textcoords="offset points", xytext=(4, 0))
figure.tight_layout()

# %% [markdown]
# ## A check on sentences of our own
#
# If the word decides, χ must hardly change when the context makes the word easy to predict. The
# trained model expects *states* after *united*, and not after *two*.

# %%
model = run.model()  # the last epoch, in eval mode
for text in ("He moved to the united states.", "He moved to two states."):
    rows = ns.probe(model, text, run.words)
    rows = rows[(rows["role"] == "target") & (rows["tensor"] == "grad_h_2") & (rows["word"] == "states")]
    print(text, rows[["surprisal_mean", "chi_mean"]].round(3).to_dict("records"))

# %% [markdown]
# Surprisal goes from .07 to 5.9 nats. χ goes from .100 to .106 and stays high: half of the words in
# figure 5 lie between .089 and .092.
#
# **Finding.** In this run, most of the variance of χ(∇h²) lies between target words. So a correlation
# of χ(∇h²) with frequency may come from the words' output vectors, and need not say much about how
# the model uses context.
# [Claims](claims.md#why-a-model-without-language-can-pass) explains why that can be, and the tensor
# `static` follows it up.
#
# This is one run. To conclude, train several seeds (`seeds: [1, 2, 3]`), open them the same way,
# and compare with a [control](method.md#controls) on shuffled text, where context has nothing to add.

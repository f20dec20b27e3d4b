# %% [markdown]
# # Precision, recall and the confusion matrix
#
# A classifier of two classes gives a score, a threshold makes a decision of it, and decisions err
# in two ways. This notebook counts them, follows them over all thresholds, and asks what becomes of
# the curves where one class is rare, where scores are tied, and where an error has a price. Each
# claim is an `assert` below it: as a script,
# `python notebooks/precision_recall_and_the_confusion_matrix.py` is a test of this text. It needs
# mlmath with its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from mlmath.data import datasets
from mlmath.evaluate import folds, metrics, scorer, selection
from mlmath.linear import logistic_regression
from mlmath.plot import classification, diagnosis, ranking
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits

# %% [markdown]
# ## Probabilities for rows that were held out
#
# Of 569 tumours 212 are malignant, $y = 1$. To make the task hard the model is given three of the
# thirty measurements. Ten stratified folds give ten fits; each row gets its probability $p_i$ from
# the one fit that did not see it.

# %%
measured, y = datasets.arrays("breast_cancer")
y = y.astype(int)
X = measured[:, [1, 4, 9]]  # texture, smoothness, fractal dimension: means over the cells
model = compose(standardise, logistic_regression)
parts = folds.stratified(jax.random.key(0), y, folds=10)
fits = selection.cross_validate(
    model.fit, scorer.scorer(model.predict, metrics.roc_auc), X, y, parts
)
each = jax.vmap(jax.vmap(model.predict, (None, 0)), (0, None))(fits.params, X)  # (folds, rows)
p = jnp.sum(jnp.where(parts.test, each, 0), axis=0)

assert fits.certificate.converged.all()
assert (parts.test.sum(axis=0) == 1).all()

# %% [markdown]
# ## Four counts
#
# At a threshold $t$ the decision is $\hat y_i = [\,p_i \ge t\,]$. The confusion matrix counts how
# often class $j$ (row) was taken for class $l$ (column),
#
# $$C_{jl} = \sum_i [y_i = j]\,[\hat y_i = l], \qquad
#   C = \begin{pmatrix} \mathrm{TN} & \mathrm{FP} \\ \mathrm{FN} & \mathrm{TP} \end{pmatrix},$$
#
# and everything else is a quotient of its entries:
#
# $$\text{precision} = \frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FP}}, \qquad
#   \text{recall} = \frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FN}}, \qquad
#   F_\beta = \frac{(1 + \beta^2)\,\mathrm{TP}}
#                  {(1 + \beta^2)\,\mathrm{TP} + \beta^2\,\mathrm{FN} + \mathrm{FP}} .$$
#
# $F_1$ is the harmonic mean of the two; with $\beta = 2$ a missed tumour weighs more. A quotient
# 0/0 has no value and is NaN, never a plausible number.

# %%
decided = (p >= 0.5).astype(int)
(tn, fp), (fn, tp) = C = metrics.confusion_matrix(decided, y, classes=2)
precision, recall = metrics.precision(decided, y), metrics.recall(decided, y)
f1, f2 = (metrics.f_score(decided, y, beta=beta) for beta in (1, 2))

assert C.sum() == len(y)
assert tp == sum(1 for a, b in zip(decided, y, strict=True) if a == b == 1)
assert jnp.isclose(precision, tp / (tp + fp))
assert jnp.isclose(recall, tp / (tp + fn))
assert jnp.isclose(1 / f1, (1 / precision + 1 / recall) / 2)
assert jnp.isclose(f2, 5 * precision * recall / (4 * precision + recall))
assert recall < f2 < f1 < precision  # each F between the two, F2 nearer to recall
assert jnp.isnan(metrics.precision(0 * decided, y))

classification.confusion_matrix(C, ("benign", "malignant"))

# %% [markdown]
# ## The threshold is a choice
#
# Raise $t$, and fewer rows are called malignant: recall can only fall. Precision mostly rises, but
# need not: the row that is no longer called may have been a true one. The three below are computed
# for 201 thresholds in one `vmap`.

# %%
thresholds = jnp.linspace(0.02, 0.85, 201)


@jax.jit
@jax.vmap
def at(t):
    called = (p >= t).astype(int)
    return metrics.precision(called, y), metrics.recall(called, y), metrics.f_score(called, y)


precisions, recalls, f1s = at(thresholds)
assert (jnp.diff(recalls) <= 0).all()
assert (jnp.diff(precisions) < 0).any()
assert precisions[-1] > precisions[0]
assert thresholds[f1s.argmax()] < 0.5  # ½ is not the threshold of the best F1

_, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
for values, name in ((precisions, "precision"), (recalls, "recall"), (f1s, "F1")):
    axes.plot(thresholds, values, label=name)
axes.set(xlabel="threshold t on the probability of malignant", ylabel="held-out rows")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## All thresholds at once: the ROC curve and its area
#
# The ROC curve is the true positive rate against the false positive rate,
# $T(t) = \mathrm{TP}/n_1$ against $F(t) = \mathrm{FP}/n_0$. Its area is the share of pairs, one row
# of each class, that the score puts in the right order, ties counting half (Mann and Whitney):
#
# $$\mathrm{AUC} = \frac{1}{n_1 n_0} \sum_{i:\,y_i = 1}\ \sum_{j:\,y_j = 0}
#   \bigl([p_i > p_j] + \tfrac12 [p_i = p_j]\bigr) .$$
#
# Ties are where implementations go wrong: rows of one score have one threshold and must be crossed
# in one step, or the area depends on the order of the rows. Scores rounded to one digit have many.


# %%
def pairs_in_order(score):
    ahead, behind = score[y == 1][:, None], score[y == 0][None]
    return jnp.mean((ahead > behind) + 0.5 * (ahead == behind))


rounded = jnp.round(p, 1)
for score in (p, rounded):
    assert jnp.isclose(metrics.roc_auc(score, y), pairs_in_order(score), rtol=1e-12)
assert len(jnp.unique(rounded)) < 12

for order in (np.argsort(y, kind="stable"), np.argsort(-y, kind="stable")):
    shuffled = metrics.roc_auc(rounded[order], y[order])
    assert jnp.isclose(shuffled, metrics.roc_auc(rounded, y), rtol=1e-12)

# %% [markdown]
# ## What imbalance does
#
# Let every benign row count $m$ times: a weight $m$ is the row $m$ times over. Both rates are
# quotients within one class, so the ROC curve does not move. Precision compares the classes; with
# the share $\pi$ of positives
#
# $$\text{precision} = \frac{\pi\,T}{\pi\,T + (1 - \pi)\,F}$$
#
# and it goes to 0 with $\pi$ at every threshold with $F > 0$. Average precision, the mean of the
# precision over recall, $\sum_j (T_j - T_{j-1}) P_j$, falls with it. A ROC-AUC says nothing of how
# many alarms are false; the share of positives must be told beside it.

# %%
_, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
areas = []
for many in (1, 10, 100):
    weight = jnp.where(y == 1, 1.0, many)
    share = jnp.sum(weight * y) / jnp.sum(weight)
    roc = metrics.roc_curve(p, y, sample_weight=weight)
    curve = metrics.precision_recall_curve(p, y, sample_weight=weight)
    T, F = roc.true_positive_rate, roc.false_positive_rate
    assert jnp.allclose(curve.precision, share * T / (share * T + (1 - share) * F))
    assert jnp.allclose(curve.recall, T)
    assert jnp.isclose(metrics.roc_auc(p, y, sample_weight=weight), metrics.roc_auc(p, y))
    average = metrics.average_precision(p, y, sample_weight=weight)
    assert jnp.isclose(average, jnp.sum(jnp.diff(T, prepend=0) * curve.precision))
    areas.append(average)
    left.plot(F, T, linewidth=5 - 2 * np.log10(many), label=f"{share:.1%} positive")
    right.step(T, curve.precision, label=f"{share:.1%} positive, average precision {average:.2f}")
left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC: one curve")
right.set(xlabel="recall", ylabel="precision", title="precision and recall")
for axes in (left, right):
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14))
plt.show()

assert areas[0] > 2 * areas[1] > 4 * areas[2]

# %% [markdown]
# ## What an error costs
#
# If a false alarm costs $c_{10}$ and a miss $c_{01}$, calling a row with probability $p$ positive
# costs $(1 - p)\,c_{10}$ in the mean and not calling it $p\,c_{01}$. The first is less if
#
# $$p > t^* = \frac{c_{10}}{c_{10} + c_{01}},$$
#
# row by row, so no other threshold has a lower expected cost, whatever the distribution of $p$.
# This holds if the probabilities are true.

# %%
alarm, miss = 1.0, 9.0
best = alarm / (alarm + miss)


def expected_cost(t, truth):
    """Mean cost of the decisions p ≥ t, where P(y = 1) is ``truth``."""
    return jnp.mean(jnp.where(p >= t, alarm * (1 - truth), miss * truth))


costs = jax.vmap(expected_cost, (0, None))(thresholds, p)
assert expected_cost(best, p) <= costs.min()
assert expected_cost(best, p) < expected_cost(0.5, p)
assert expected_cost(best, y) < expected_cost(0.5, y)  # with the labels that came

# %% [markdown]
# ## Are the probabilities true?
#
# Ranking does not know: any increasing function of $p$ has the same ROC curve. A proper score does.
# With the Brier score $\frac1n \sum_i (q_i - y_i)^2$ of stated probabilities $q$, and $p$ the true
# ones,
#
# $$\mathbb E\,\text{Brier}(q) - \mathbb E\,\text{Brier}(p) = \frac1n \sum_i (q_i - p_i)^2 \ge 0 ,$$
#
# so that nobody gains by stating another probability than the true one. (`metrics.brier` takes
# shares in the place of labels, which is the expectation over labels.)

# %%
bold = p**3 / (p**3 + (1 - p) ** 3)  # log-odds three times as large
assert jnp.isclose(metrics.roc_auc(bold, y), metrics.roc_auc(p, y), rtol=1e-12)
excess = metrics.brier(bold, p) - metrics.brier(p, p)
assert jnp.isclose(excess, jnp.mean((bold - p) ** 2))
assert metrics.brier(bold, y) > metrics.brier(p, y)
assert metrics.binary_log_loss(bold, y) > metrics.binary_log_loss(p, y)

diagnosis.calibration(p, y, positive="malignant")

# %%
diagnosis.calibration(bold, y, positive="malignant")

# %% [markdown]
# The second figure is that of an overconfident model: too few where it says many, too many where it
# says few.
#
# ## Bands over folds
#
# One curve hides how much it would change with other rows. Each fold has its own; the mean has the
# band of its standard error. The area under the mean curve is the mean of the areas.

# %%
aucs = jnp.stack([
    metrics.roc_auc(q, y, sample_weight=1.0 * held)
    for q, held in zip(each, parts.test, strict=True)
])  # fmt: skip
assert jnp.allclose(aucs, fits.scores)  # what cross_validate has said
assert aucs.std() > 0.01
ranking.receiver_operating_characteristic(each, y, parts.test)

# %%
ranking.precision_recall(each, y, parts.test)

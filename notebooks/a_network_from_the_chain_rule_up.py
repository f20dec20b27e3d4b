# %% [markdown]
# # A network from the chain rule up
#
# A neural network is a few affine maps with a bend between them, and training it is the chain rule
# and a step downhill, repeated. This notebook builds one by hand, takes its derivative by hand, and
# then trains one on handwritten digits and looks inside. Each claim is an `assert` below it: as a
# script, `python notebooks/a_network_from_the_chain_rule_up.py` is a test of this text. It needs
# mlmath with its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import lax

import mlmath
from mlmath.data import datasets
from mlmath.evaluate import folds
from mlmath.linear import logistic_regression
from mlmath.neural import activations, backprop, dense, dropout, initialisations, losses, mlp
from mlmath.optimize import first_order, stochastic
from mlmath.plot import backprop as chain
from mlmath.plot import images, training

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits
plt.rcParams["figure.dpi"] = 72

# %% [markdown]
# ## A neuron
#
# A unit weighs what it sees and bends the sum:
#
# $$h = \varphi(w^\top x + b).$$
#
# Along $w$ it answers like $\varphi$, across $w$ it is blind. Without the bend, layers would be
# matrices, and their product one matrix. What matters in training is also the derivative: sigmoid
# and tanh have next to none far from 0, where a unit no longer learns; the rectifier has 1 on one
# half of the line and nothing on the other.

# %%
bends = {
    "sigmoid": activations.sigmoid,
    "tanh": activations.tanh,
    "ReLU": activations.relu,
    "GELU": activations.gelu,
}
z = jnp.linspace(-5, 5, 401)
_, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for name, bend in bends.items():
    axes[0].plot(z, bend(z), label=name)
    axes[1].plot(z, jax.vmap(jax.grad(bend))(z), label=name)
axes[0].set(xlabel="z", ylabel="φ(z)", ylim=(-1.2, 3))
axes[1].set(xlabel="z", ylabel="φ′(z)")
axes[0].legend(frameon=False, fontsize=8)
plt.show()

assert jax.grad(activations.sigmoid)(0.0) == 0.25  # the most that it ever is
assert max(jax.grad(bend)(-10.0) for bend in bends.values()) < 1e-4

# %% [markdown]
# ## XOR: what one plane cannot do
#
# Of an affine function $f$ the values at the corners of a square satisfy
#
# $$f(0,0) + f(1,1) = f(0,1) + f(1,0),$$
#
# so that it cannot be positive at two opposite corners and negative at the others. Logistic
# regression, at its optimum, says ½ four times. Two rectifiers and one sum do it:
#
# $$h_1 = \mathrm{relu}(u + v), \qquad h_2 = \mathrm{relu}(u + v - 1), \qquad z = h_1 - 2 h_2 .$$

# %%
corners = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
xor = jnp.array([0, 1, 1, 0])

plane = logistic_regression.fit(corners, xor, l2=1e-3)
assert plane.certificate.converged
assert jnp.allclose(mlmath.rows(logistic_regression.predict)(plane.params, corners), 0.5)

by_hand = mlp.Params(
    (
        dense.Params(jnp.array([[1.0, 1.0], [1.0, 1.0]]), jnp.array([0.0, -1.0])),
        dense.Params(jnp.array([[1.0, -2.0]]), jnp.array([0.0])),
    )
)
predict = mlmath.rows(mlp.predict)
assert (predict(by_hand, corners)[:, 0] == xor).all()

# %% [markdown]
# ## The chain rule
#
# Forwards each layer keeps what it saw, $a_l = W_l h_{l-1} + b_l$ and $h_l = \varphi(a_l)$. Let
# $\delta_l = \partial \ell / \partial a_l$ be what the loss would gain if the sum of a unit grew.
# At the end it is the derivative of the loss; a layer further down it is what comes back through
# the weights, times the slope of the bend; and the gradient of a weight is the product of what
# stands at its two ends:
#
# $$\delta_L = \frac{\partial \ell}{\partial z}, \qquad
#   \delta_l = \varphi'(a_l) \odot W_{l+1}^\top \delta_{l+1}, \qquad
#   \frac{\partial \ell}{\partial W_l} = \delta_l\, h_{l-1}^\top .$$
#
# That is all of backpropagation. `backprop.layers` computes it in these words and keeps the parts;
# `jax.grad` finds the same.

# %%
params = mlp.init(jax.random.key(1), (2, 4, 3, 1))
x, y = jnp.array([1.0, -0.5]), 0.5
layers = backprop.layers(params, x, y)

delta = layers[2].output - y  # of the loss ½ (z − y)²
assert jnp.allclose(layers[2].delta, delta)
for k in (1, 0):
    bend = (layers[k].pre_activation > 0).astype(float)
    delta = bend * (params.layers[k + 1].weights.T @ delta)
    assert jnp.allclose(layers[k].delta, delta)
    assert jnp.allclose(layers[k].gradient.weights, jnp.outer(delta, layers[k].input))

automatic = jax.grad(mlp.loss)(params, x, y)
assert all(
    map(jnp.allclose, jax.tree.leaves(backprop.gradient(params, x, y)), jax.tree.leaves(automatic))
)

# %% [markdown]
# Read the figure from the right: the output is too high, so its δ is positive and comes back along
# the lines. Where a rectifier is off, its circle is 0 and so is its square: nothing passes in
# either direction, and the weights around it do not learn from this example.

# %%
assert layers[2].output > y
assert ((layers[0].output == 0) == (layers[0].delta == 0)).all()

chain.chain_rule(layers)

# %% [markdown]
# ## Learning XOR
#
# Gradient descent has to find such weights from random ones. Two hidden units are enough in
# principle; in practice some starts end where a unit is off at every corner, and no gradient
# brings it back. A wider layer has units to spare. Fifty trainings are a `vmap` over keys.


# %%
def trained(key, hidden):
    return mlp.fit(
        key, corners, xor, hidden=(hidden,), error=losses.binary_cross_entropy,
        optimizer=first_order.adam(0.05), batch_size=4, steps=800,
    ).params  # fmt: skip


keys = jax.random.split(jax.random.key(2), 50)
learnt = {}
for hidden in (2, 4, 16):
    nets = jax.vmap(lambda key, hidden=hidden: trained(key, hidden))(keys)
    answers = jax.vmap(predict, (0, None))(nets, corners)[:, :, 0] > 0
    learnt[hidden] = round(float((answers == (xor == 1)).all(axis=1).mean()), 2)
print("share of 50 starts that learn XOR, by hidden units:", learnt)
assert learnt[2] < learnt[4] < learnt[16] == 1

# %% [markdown]
# ## Any function, given enough units
#
# In one dimension a layer of rectifiers is a broken line with a bend at each unit's $-b/w$, and
# every broken line is such a layer: with knots $t_0 < t_1 < \dots$ and slopes $s_k$ between them,
#
# $$z(x) = f(t_0) + \sum_k (s_k - s_{k-1})\, \mathrm{relu}(x - t_k), \qquad s_{-1} = 0,$$
#
# goes through all points $(t_k, f(t_k))$. Between knots at a distance $d$ it is off by at most
# $d^2 \max|f''| / 8$. So a smooth function is approximated as well as one likes, and no training
# was needed to say so; what theorems of this kind do not say is whether training finds it.


# %%
def target(x):
    return jnp.sin(3 * x) + x / 2


def broken_line(units):
    knots = jnp.linspace(-2, 2, units + 1)
    slopes = jnp.diff(target(knots)) / jnp.diff(knots)
    bends = jnp.diff(slopes, prepend=0.0)
    first = dense.Params(jnp.ones((units, 1)), -knots[:-1])
    return mlp.Params((first, dense.Params(bends[None], target(knots[:1]))))


fine = jnp.linspace(-2, 2, 1001)
_, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained", sharey=True)
for ax, units in zip(axes, (6, 12, 48), strict=True):
    net = predict(broken_line(units), fine[:, None])[:, 0]
    error = jnp.abs(net - target(fine)).max()
    assert error <= (4 / units) ** 2 * 9 / 8
    ax.plot(fine, target(fine), color="0.6", linewidth=3)
    ax.plot(fine, net, color="tab:blue")
    ax.set(title=f"{units} units, error {error:.2g}", xlabel="x")
plt.show()

# %% [markdown]
# ## The size of what passes through
#
# Let $W$ have $i$ columns of independent numbers of variance $v$. Then each layer multiplies the
# mean square of what passes by $i v$, and a rectifier takes half. With $v = 1/i$ thirty layers
# leave $2^{-30}$; with $v = 4/i$ they make it $2^{30}$ times as large; **He's $v = 2/i$** keeps
# it. The gradient on its way back obeys the same law: after too small a start the first layers
# learn nothing, after too large a one they are thrown about.

# %%
width, depth = 256, 30


def passing(key, scale):
    """Mean square after each layer, and by what factor that of a gradient changed on its way."""

    def layer(h, key):
        W = scale * initialisations.he_normal(key, width, width)
        h = activations.relu(W @ h)
        return h, jnp.mean(h**2)

    def through(h):
        return lax.scan(layer, h, jax.random.split(key, depth))

    first, last = jax.random.normal(key, (2, width))
    _, back, sizes = jax.vjp(through, first, has_aux=True)
    (gradient,) = back(last)
    return jnp.append(jnp.mean(first**2), sizes), jnp.sum(gradient**2) / jnp.sum(last**2)


scales = {"v = 1/i": np.sqrt(0.5), "He, v = 2/i": 1.0, "v = 4/i": np.sqrt(2)}
draws = jax.random.split(jax.random.key(3), 50)
_, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (name, scale), power in zip(scales.items(), (-1, 0, 1), strict=True):
    forwards, backwards = jax.jit(jax.vmap(passing, (0, None)))(draws, scale)
    sizes = jnp.mean(forwards, axis=0)
    growth = jnp.log2(sizes[-1] / sizes[0]) / depth
    assert abs(growth - power) < 0.05
    assert abs(jnp.log2(jnp.mean(backwards)) / depth - power) < 0.05
    ax.plot(sizes, label=name)
ax.set(xlabel="layer", ylabel="mean square of the units", yscale="log")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## Digits
#
# 1797 images of 8 × 8 pixels; a quarter is held out by the weight 0. `mlp.begin` gives the loss of
# one example, the optimizer and position 0, `stochastic.run` takes steps in one compiled program;
# in between the loop is ours, to measure and to stop.

# %%
pixels, digit = datasets.arrays("digits")
X, y = jnp.asarray(pixels) / 16, jnp.asarray(digit)
(held,) = folds.shuffle(jax.random.key(4), len(y), folds=1, test_share=0.25).test
weight = 1.0 - held

steps, rounds = 100, 20
rate = first_order.cosine_decay(5e-3, steps=steps * rounds)
loss, optimizer, state = mlp.begin(
    jax.random.key(5), X, hidden=(64,), outputs=10, error=losses.softmax_cross_entropy,
    optimizer=first_order.adam(rate), l2=0.1, sample_weight=weight,
)  # fmt: skip


def accuracy(params):
    right = predict(params, X).argmax(axis=1) == y
    return jnp.sum(right * held) / jnp.sum(held)


history, scores = [], []
for _ in range(rounds):
    state, values = stochastic.run(loss, optimizer, state, X, y, sample_weight=weight, steps=steps)
    history.append(values)
    scores.append(accuracy(state.params))
history, scores = jnp.concatenate(history), jnp.array(scores)
net = state.params
print(f"{scores[-1]:.2%} of the held-out digits")
assert scores[-1] > 0.97

training.curve(
    history,
    validation=(steps * jnp.arange(1, rounds + 1), scores),
    best=scores.argmax(),
    learning_rates=jax.vmap(rate)(jnp.arange(steps * rounds)),
    loss="log loss of the batch",
    score="accuracy,\nhigher is better",
)

# %% [markdown]
# Where is it wrong, and how sure? The images of the largest loss come first, mistakes in red.

# %%
probability = jax.vmap(activations.softmax)(predict(net, X))
images.worst_judged(X.reshape(-1, 8, 8), y, probability, sample_weight=1.0 * held, shown=16)

# %% [markdown]
# And what does it look for? The weights of a unit of the first layer are an image: red where ink
# raises the unit, blue where ink lowers it. At the edges, where hardly any digit has ink, the
# penalty has left little.

# %%
seen = net.layers[0].weights.reshape(-1, 8, 8) ** 2
assert seen[:, :, 0].mean() < seen[:, :, 1:7].mean() / 2  # the first column of pixels

images.first_layer(net.layers[0].weights, (8, 8), shown=16)

# %% [markdown]
# ## Dropout
#
# While training, each unit is left out with probability $p$ and the others grow by $1/(1-p)$:
# the next layer sees the same on average, with a variance of $h_j^2\, p/(1-p)$. For a sum
# $z = \sum_j w_j h_j$ and the squared loss that is a penalty, on each weight by how active its unit
# is:
#
# $$\mathbb E\, \tfrac12 (\tilde z - y)^2 = \tfrac12 (z - y)^2
#   + \tfrac12 \frac{p}{1-p} \sum_j w_j^2 h_j^2 .$$

# %%
rate, seen = 0.3, jnp.array([1.0, 0.2, -0.7, 0.0, 2.0])
w, goal = jnp.array([0.5, -1.0, 0.3, 2.0, 0.1]), 0.4


def dropped(key):
    return (w @ dropout.dropout(key, seen, rate=rate) - goal) ** 2 / 2


measured = jnp.mean(jax.vmap(dropped)(jax.random.split(jax.random.key(6), 200_000)))
penalty = rate / (1 - rate) * jnp.sum(w**2 * seen**2) / 2
assert jnp.allclose(measured, (w @ seen - goal) ** 2 / 2 + penalty, rtol=0.02)

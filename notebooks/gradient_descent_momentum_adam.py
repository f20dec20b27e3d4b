# %% [markdown]
# # Gradient descent, momentum, Adam: what each term does
#
# Three update rules train almost everything. Each term in them was put there for a reason that
# can be seen on a function simple enough to compute by hand, and is then a theorem. Each claim here
# is an `assert` below it: as a script, `python notebooks/gradient_descent_momentum_adam.py` is a
# test of this text. It needs mlmath with its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import lax

from mlmath.optimize import first_order, landscapes, stochastic, trajectory
from mlmath.plot import trajectories as figures

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits
plt.rcParams["figure.dpi"] = 72

# %% [markdown]
# ## Gradient descent on one quadratic
#
# Near a minimum every smooth function is a quadratic. In the directions of its principal
# curvatures, of which the smallest is $m$ and the largest $L$,
#
# $$f(x) = \tfrac12 \sum_i a_i x_i^2, \qquad m \le a_i \le L, \qquad \kappa = L/m,$$
#
# and a step $x_{t+1} = x_t - \eta \nabla f(x_t)$ multiplies each coordinate by its own factor:
#
# $$x_{t+1,i} = (1 - \eta a_i)\, x_{t,i}.$$
#
# `trajectory.follow` takes the steps and keeps them all.

# %%
m, L = 1.0, 50.0
curvatures = jnp.array([m, L])
kappa = L / m


def quadratic(x):
    return curvatures @ x**2 / 2


start = jnp.array([10.0, 1.0])
way = trajectory.follow(quadratic, first_order.sgd(0.03), start, steps=40)
powers = (1 - 0.03 * curvatures) ** jnp.arange(41)[:, None]
assert jnp.allclose(way.positions, powers * start, rtol=1e-10)

# %% [markdown]
# The step must suit all curvatures at once. Along $L$ it overshoots for $\eta > 1/L$ and diverges
# for $\eta > 2/L$; along $m$ it is then still slow. The slowest factor decides,
#
# $$\rho(\eta) = \max_i |1 - \eta a_i|, \qquad
#   \min_\eta \rho = \frac{\kappa - 1}{\kappa + 1} \quad\text{at}\quad \eta = \frac{2}{L + m},$$
#
# where the two ends are equally slow. An optimizer's numbers are leaves of a pytree: so a sweep
# over 200 learning rates is a `vmap`, and one compiled program.

# %%
rates = jnp.linspace(1e-3, 2.2 / L, 200)


@jax.jit
@jax.vmap
def swept(rate):
    return trajectory.follow(quadratic, first_order.sgd(rate), jnp.ones(2), steps=400)


lengths = jnp.linalg.norm(swept(rates).positions, axis=2)
measured = (lengths[:, 400] / lengths[:, 300]) ** (1 / 100)
factor = jnp.abs(1 - rates[:, None] * curvatures).max(axis=1)
assert jnp.allclose(measured, factor, rtol=1e-2)
assert ((lengths[:, 400] > lengths[:, 0]) == (rates > 2 / L)).all()

best_rate, best_factor = 2 / (L + m), (kappa - 1) / (kappa + 1)
assert abs(rates[measured.argmin()] - best_rate) < rates[1] - rates[0]
assert (factor >= best_factor).all()

_, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.plot(rates, factor, color="0.6", linewidth=4, label="max |1 − η a|")
ax.plot(rates, measured, color="tab:blue", label="measured, per step")
ax.plot(best_rate, best_factor, "*", color="tab:red", markersize=12, label="(κ − 1)/(κ + 1)")
ax.axhline(1, color="0.4", linestyle=":", label="beyond: divergence")
ax.set(xlabel="learning rate η", ylabel="what a step leaves of the error")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# With the best step *every* step leaves at most $(\kappa-1)/(\kappa+1)$ of the distance, and after
# the first few nothing better happens. With $\kappa = 50$ that is 0.96: a digit costs
# 58 steps, and ten times the condition number ten times as many.

# %%
best = trajectory.follow(quadratic, first_order.sgd(best_rate), start, steps=250)
error = jnp.linalg.norm(best.positions, axis=1)
assert (error[1:] <= best_factor * error[:-1] * (1 + 1e-12)).all()
assert jnp.allclose(error[1:], best_factor * error[:-1])  # both ends of the spectrum are equal
digit = np.log(10) / -np.log(best_factor)
assert round(digit) == 58


# %% [markdown]
# ## Momentum
#
# Along the valley all gradients agree, across it they alternate. A velocity that adds them up,
#
# $$v_t = \nabla f(x_t) + \mu v_{t-1}, \qquad x_{t+1} = x_t - \eta v_t,$$
#
# lets the first grow, up to $1/(1-\mu)$ times, and the second cancel. On the quadratic each
# coordinate with its predecessor is now multiplied by a matrix of two rows,
#
# $$\begin{pmatrix} x_{t+1} \\ x_t \end{pmatrix} =
#   \begin{pmatrix} 1 + \mu - \eta a & -\mu \\ 1 & 0 \end{pmatrix}
#   \begin{pmatrix} x_t \\ x_{t-1} \end{pmatrix},$$
#
# whose eigenvalues are complex, and all of modulus $\sqrt\mu$, as long as
# $(1 - \sqrt\mu)^2 \le \eta a \le (1 + \sqrt\mu)^2$. The smallest $\mu$ for which that holds from
# $m$ to $L$ gives Polyak's
#
# $$\eta = \frac{4}{(\sqrt L + \sqrt m)^2}, \qquad \mu = \rho^2, \qquad
#   \rho = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}:$$
#
# the condition number under a root.

# %%
rho = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
polyak = 4 / (np.sqrt(L) + np.sqrt(m)) ** 2


def modulus(rate, decay, a):
    """Largest modulus of an eigenvalue of the matrix above."""
    step = np.array([[1 + decay - rate * a, -decay], [1.0, 0.0]])
    return np.abs(np.linalg.eigvals(step)).max()


for a in np.linspace(m, L, 50):
    assert np.isclose(modulus(polyak, rho**2, a), rho, rtol=1e-6)  # all curvatures alike
assert max(modulus(polyak, 0.9 * rho**2, a) for a in (m, L)) > rho
assert max(modulus(polyak, 1.1 * rho**2, a) for a in (m, L)) > rho

steps = jnp.arange(251)
heavy = first_order.momentum(polyak, decay=rho**2)
balls = jnp.linalg.norm(trajectory.follow(quadratic, heavy, start, steps=250).positions, axis=1)
promised = (1 + steps) * rho**steps * error[0] * 2
assert (balls <= promised).all()
slope = jnp.log(balls[60] / balls[30]) / 30
assert jnp.allclose(slope, np.log(rho), rtol=0.2)  # up to the logarithm of 1 + t
reached = [int((errors < 1e-3 * errors[0]).argmax()) for errors in (error, balls)]
assert reached[0] > 3 * reached[1] > 0
print(f"a thousandth of the distance: {reached[0]} steps without momentum, {reached[1]} with it")

# %%
slow = best_factor**steps * error[0]
figures.descent(
    {"gradient descent": error[:101], "momentum": balls[:101]},
    bounds={"((κ − 1)/(κ + 1))ᵗ": slow[:101], "2(1 + t) ρᵗ, ρ by √κ": promised[:101]},
    quantity="distance from the minimum",
)

# %% [markdown]
# Nesterov's step takes the gradient a little ahead of where it stands; with $\eta = 1/L$ it needs
# the same $\sqrt\kappa$, and unlike the heavy ball keeps it on every smooth convex function with
# these curvatures. All three on the map: gradient descent zigzags; the ball swings out widely
# before it comes in; $1/L$ ends the steep direction in one step, and the velocity carries along
# the flat one.

# %%
methods = {
    "gradient descent": first_order.sgd(best_rate),
    "momentum": heavy,
    "Nesterov": first_order.nesterov(1 / L, decay=rho),
}
ways = {
    name: trajectory.follow(quadratic, method, start, steps=60) for name, method in methods.items()
}
assert ways["momentum"].values[-1] < ways["Nesterov"].values[-1] < 1e-3
assert ways["gradient descent"].values[-1] > 0.1
figures.paths(
    quadratic,
    {name: way.positions for name, way in ways.items()},
    minima=[(0, 0)],
    window=((-3, 11), (-4, 4)),
)

# %% [markdown]
# ## Learning rates learnt
#
# Since its numbers are leaves, the value after $T$ steps is a differentiable function of them:
#
# $$\eta \mapsto \log f(x_T(\eta)).$$
#
# Its derivative goes backwards through all steps. Let Adam descend it, in the logarithms of $\eta$
# and of $1-\mu$, from $\eta = 1/L$ and hardly any
# momentum, $\mu = 0.1$. Nobody tells it Polyak's formula,
# which is best for $t \to \infty$ and the worst start; for forty steps from this start it finds
# better numbers, not far away. (It is no convex problem: the value swings with $\mu$, and from
# other guesses another valley is found.)


# %%
def last(numbers):
    method = first_order.momentum(jnp.exp(numbers[0]), decay=1 - jnp.exp(numbers[1]))
    return jnp.log(trajectory.follow(quadratic, method, start, steps=40).values[-1])


guess = jnp.log(jnp.array([1 / L, 0.9]))
learnt = trajectory.follow(last, first_order.adam(0.05), guess, steps=400)
found = jnp.exp(learnt.positions[learnt.values.argmin()])
rate, decay = found[0], 1 - found[1]
print(f"learnt η = {rate:.4f}, μ = {decay:.3f}; Polyak's η = {polyak:.4f}, μ = {rho**2:.3f}")

by_formula = last(jnp.log(jnp.array([polyak, 1 - rho**2])))
assert learnt.values.min() < by_formula - 5  # e⁵ times lower
assert jnp.allclose(rate, polyak, rtol=0.25)
assert jnp.allclose(decay, rho**2, rtol=0.25)

h = 1e-6
difference = (last(guess.at[0].add(h)) - last(guess.at[0].add(-h))) / (2 * h)
assert jnp.allclose(jax.grad(last)(guess)[0], difference, rtol=1e-6)

# %% [markdown]
# ## Noise, and what takes it away
#
# In training the gradient is that of a few examples: right on average, with noise
# $\varepsilon_t$ of variance $\sigma^2$. On $f(x) = x^2/2$ gradient descent becomes
#
# $$x_{t+1} = (1 - \eta)\, x_t - \eta\, \varepsilon_t .$$
#
# The first term forgets the start; the second never stops. Where both balance,
# $\mathbb E x^2 = (1-\eta)^2\, \mathbb E x^2 + \eta^2 \sigma^2$, hence
#
# $$\mathbb E\, x^2 = \frac{\eta}{2 - \eta}\, \sigma^2 :$$
#
# a ball whose squared radius is proportional to the step. It can be left in three ways.
#
# * A rate that falls: a **schedule** shrinks the ball while the run goes on.
# * **Averaging** the iterates (Polyak, Ruppert): the mean of $t$ of them has the variance
#   $\sigma^2/t$, whatever $\eta$.
# * A larger batch, which divides $\sigma^2$.
#
# The loss of one example is $\tfrac12 (\theta - x_i)^2$, whose mean is least at the mean of the
# data; `stochastic.step` draws one example at each step. Four hundred runs at a time are a `vmap`
# over keys.

# %%
data = jax.random.normal(jax.random.key(0), (100,))
data = (data - data.mean()) / data.std()  # minimum at 0, σ = 1
steps = 2000


def loss(params, x, y):
    return (params - x) ** 2 / 2


def run(key, optimizer):
    def step(state, _):
        state, _ = stochastic.step(loss, optimizer, state, data, data, batch_size=1)
        return state, state.params

    begun = stochastic.init(key, jnp.array(3.0), optimizer)
    state, params = lax.scan(step, begun, length=steps)
    return jnp.append(3.0, params), state.optimizer.mean


keys = jax.random.split(jax.random.key(1), 400)
runs = jax.jit(jax.vmap(run, (0, None)))


def spread(optimizer):
    """Mean square distance at each step, and that of the averaged iterate at the end."""
    params, mean = runs(keys, first_order.averaged(optimizer, skip=200))
    return jnp.mean(params**2, axis=0), jnp.mean(mean**2)


constant = {rate: spread(first_order.sgd(rate)) for rate in (0.02, 0.1, 0.5)}
for rate, (square, averaged) in constant.items():
    assert jnp.allclose(square[1000:].mean(), rate / (2 - rate), rtol=0.05)
    assert jnp.allclose(averaged, 1 / (steps - 200), rtol=0.25)

falling = first_order.cosine_decay(0.5, steps=steps)
scheduled, _ = spread(first_order.sgd(falling))
assert scheduled[-1] < 0.8 * constant[0.02][0][1000:].mean()

# %%
figures.descent(
    {f"η = {rate}": square for rate, (square, _) in constant.items()}
    | {"η by half a cosine from 0.5 to 0": scheduled},
    bounds={
        "ball of η = 0.1": jnp.full(steps + 1, 0.1 / 1.9),
        "mean of 1800 iterates": jnp.full(steps + 1, 1 / 1800),
    },
    quantity="mean square distance",
)

# %% [markdown]
# The fast run is near the minimum after ten steps and stays far from it; the slow one takes a
# hundred and ends closer. The schedule has both. A schedule is a `Partial` from the step to the
# rate; its numbers can be swept and learnt like any other.

# %%
t = jnp.arange(1000)
schedules = {
    "step": first_order.step_decay(1.0, steps=300, rate=0.3),
    "exponential": first_order.exponential_decay(1.0, steps=1000, rate=0.03),
    "cosine": first_order.cosine_decay(1.0, steps=1000),
    "warm-up, then cosine": first_order.warm_up(
        first_order.cosine_decay(1.0, steps=900), steps=100
    ),
    "one cycle": first_order.one_cycle(1.0, steps=1000),
}
_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, schedule in schedules.items():
    ax.plot(t, jax.vmap(schedule)(t), label=name)
ax.set(xlabel="step", ylabel="learning rate")
ax.legend(frameon=False, fontsize=8)
plt.show()

halfway = jax.grad(lambda first: first_order.cosine_decay(first, steps=1000)(500))(1.0)
assert jnp.allclose(halfway, 0.5)

# %% [markdown]
# ## Adam: a step for each coordinate
#
# Curvatures differ, and no single $\eta$ suits all. Adam divides the averaged gradient by the
# averaged size of the gradient, coordinate by coordinate,
#
# $$m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \qquad v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2,
#   \qquad x_{t+1} = x_t - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon},$$
#
# with $\hat m_t = m_t/(1-\beta_1^t)$ and $\hat v_t = v_t/(1-\beta_2^t)$, since both averages
# start at 0. What follows from that, term by term:
#
# * **The correction.** A constant gradient moves a number by exactly $\eta$ at each step, from
#   the first on. Without it the first step would be $(1-\beta_1)/\sqrt{1-\beta_2} \approx 3.2$
#   times too long.
# * **The quotient has no units.** Multiply the loss by $c$: gradient descent takes steps $c$
#   times as long, Adam the same ones.
# * **Each coordinate for itself.** Change the unit of one coordinate, so that its curvature is
#   50 times as large: on an axis-parallel quadratic Adam does not see $\kappa$ at all.
# * **But only each coordinate.** Turn the quadratic by 45° and the curvatures are hidden again.


# %%
def adam_from(function, x, rate=0.3, steps=200):
    return trajectory.follow(function, first_order.adam(rate, eps=1e-30), x, steps=steps).positions


steady = adam_from(lambda x: 123 * x, jnp.array(0.0), steps=10)
assert jnp.allclose(jnp.diff(steady), -0.3)

one = jnp.array([1.0, 1.0])
plain = adam_from(quadratic, one)
for c in (1e-3, 1e3):
    assert jnp.allclose(adam_from(lambda x, c=c: c * quadratic(x), one), plain, atol=1e-9)
    scaled = trajectory.follow(lambda x, c=c: c * quadratic(x), first_order.sgd(0.03), one)
    assert not jnp.allclose(
        scaled.positions, trajectory.follow(quadratic, first_order.sgd(0.03), one).positions
    )

assert jnp.allclose(plain[:, 0], plain[:, 1], atol=1e-9)  # curvatures 1 and 50, the same way

turn = jnp.array([[1.0, -1.0], [1.0, 1.0]]) / jnp.sqrt(2)


def turned(x):
    return quadratic(turn @ x)


hidden = adam_from(turned, turn.T @ one) @ turn.T
assert not jnp.allclose(hidden[:, 0], hidden[:, 1], atol=0.1)
free = trajectory.follow(turned, first_order.sgd(best_rate), turn.T @ one, steps=200).positions
same = trajectory.follow(quadratic, first_order.sgd(best_rate), one, steps=200).positions
assert jnp.allclose(free @ turn.T, same, atol=1e-12)  # gradient descent knows no axes

# %%
aligned = trajectory.follow(quadratic, first_order.adam(0.3), one, steps=60)
rotated = trajectory.follow(turned, first_order.adam(0.3), turn.T @ one, steps=60)
figures.paths(
    quadratic,
    {
        "Adam, axes along the curvatures": aligned.positions,
        "Adam, axes turned by 45°": rotated.positions @ turn.T,
        "gradient descent, any axes": same[:61],
    },
    minima=[(0, 0)],
    window=((-0.8, 1.2), (-1.1, 1.1)),
)

# %% [markdown]
# ## Weight decay: AdamW and the penalty
#
# A penalty $\tfrac\lambda2 \lVert x \rVert^2$ adds $\lambda x$ to the gradient; **decoupled** decay
# shrinks $x$ beside the step. After gradient descent both are one. In Adam they are not: the
# quotient rescales $\lambda x$ like any gradient, and a number that the loss does not touch moves
# by $\eta$ per step *whatever $\lambda$ is*. AdamW shrinks it by $1 - \eta\lambda$.


# %%
def untouched(optimizer):
    return trajectory.follow(lambda x: 0 * x, optimizer, jnp.array(1.0), steps=50).positions


def penalised(decay):
    return first_order.chain(first_order.coupled(decay), first_order.adam(0.01, eps=1e-30))


weak, strong = untouched(penalised(1e-3)), untouched(penalised(1.0))
assert jnp.allclose(weak, strong)
for decay in (1e-3, 1.0):
    beside = untouched(first_order.adamw(0.01, decay=decay))
    assert jnp.allclose(beside, (1 - 0.01 * decay) ** jnp.arange(51))

with_gradient = first_order.chain(first_order.coupled(0.5), first_order.sgd(0.01))
after_step = first_order.chain(first_order.sgd(0.01), first_order.decoupled(0.01, decay=0.5))
assert jnp.allclose(untouched(with_gradient), untouched(after_step))

# %% [markdown]
# ## Three functions that are not quadratic
#
# Rosenbrock's curved valley, Beale's plateaus, Himmelblau's four minima. No theorem above gives
# the rate, so it is swept: sixty rates for each of four methods, on each function one compiled
# program per method. The best rate is the one with the lowest value at the end.

# %%
rates = jnp.logspace(-4.5, 0.5, 60)
families = {
    "gradient descent": first_order.sgd,
    "momentum": first_order.momentum,
    "Nesterov": first_order.nesterov,
    "Adam": first_order.adam,
}


def sweep(function, family, start, steps=300):
    def at(rate):
        return trajectory.follow(function, family(rate), start, steps=steps)

    return jax.vmap(at)(rates)


def best_of(way):
    last = jnp.where(jnp.isfinite(way.values[:, -1]), way.values[:, -1], jnp.inf)
    return way.positions[last.argmin()], last


found, adams = {}, []
for name, landscape in landscapes.STANDARD.items():
    at = jnp.array(landscape.start)
    ways = {kind: sweep(landscape.function, family, at) for kind, family in families.items()}
    found[name] = {kind: best_of(way) for kind, way in ways.items()}
    adams.append(ways["Adam"].positions)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharex=True)
for ax, (name, kinds) in zip(axes, found.items(), strict=True):
    for kind, (_, last) in kinds.items():
        ax.plot(rates, jnp.where(last < 1e3, jnp.maximum(last, 1e-16), jnp.nan), label=kind)
    ax.set(title=name, xscale="log", yscale="log", xlabel="learning rate")
axes[0].set_ylabel("f after 300 steps")
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
)
plt.show()

# %% [markdown]
# The curves of the other three end where the way leaves the finite numbers. Adam's do not: its
# quotient is at most $(1-\beta_1)/\sqrt{1-\beta_2}$, so that no step is longer than $3.2\,\eta$ in
# any coordinate, and too large a rate makes it wander and not explode.
#
# How much momentum helps is a matter of $\kappa$ at the minimum, as on the quadratic. At
# Rosenbrock's it is 2,508 and at Beale's 162. Himmelblau's minima have 3.7 at most: there the
# memory of $\mu = 0.9$, which forgets only like $\sqrt{\mu}^{\,t} = 0.95^t$, is in the way, and
# plain gradient descent is the faster.

# %%
for kinds in found.values():
    assert jnp.isfinite(kinds["Adam"][1]).all()
    for kind in ("gradient descent", "momentum", "Nesterov"):
        assert not jnp.isfinite(kinds[kind][1][-10:]).any()
for positions in adams:
    longest = jnp.abs(jnp.diff(positions, axis=1)).max(axis=(1, 2))
    assert (longest <= 0.1 / jnp.sqrt(0.001) * rates * (1 + 1e-6)).all()

condition = {}
for name, landscape in landscapes.STANDARD.items():
    spectra = jnp.linalg.eigvalsh(
        jax.vmap(jax.hessian(landscape.function))(jnp.array(landscape.minima))
    )
    condition[name] = float((spectra[:, 1] / spectra[:, 0]).max())
assert [round(k, 1) for k in condition.values()] == [2508.0, 162.5, 3.7]

lowest = {name: {k: last.min() for k, (_, last) in kinds.items()} for name, kinds in found.items()}
for name in ("Rosenbrock", "Beale"):
    assert lowest[name]["gradient descent"] > 50 * lowest[name]["momentum"]
assert lowest["Himmelblau"]["gradient descent"] < lowest["Himmelblau"]["momentum"]


# %%
def draw(name, window):
    landscape = landscapes.STANDARD[name]
    return figures.paths(
        landscape.function,
        {kind: positions for kind, (positions, _) in found[name].items()},
        minima=landscape.minima,
        window=window,
    )


draw("Rosenbrock", landscapes.STANDARD["Rosenbrock"].window)

# %%
draw("Beale", ((0.5, 4), (-1.5, 1.5)))

# %%
draw("Himmelblau", landscapes.STANDARD["Himmelblau"].window)

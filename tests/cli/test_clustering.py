"""What the shell tells and draws of clusters, on clusters whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from mlmath.certificate import Certificate
from mlmath.cli import clustering, found, report
from mlmath.latent import kmeans
from mlmath.plot import clusters as drawing

GIVEN = {"seed": 0, "seeds": 3}


def clouds(d=2, k=3, n=30):
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(k), n // k)
    return 10 * np.eye(k, d)[label] + rng.normal(size=(n, d)), label


def fitted(d=2, k=3, **changes):
    X, label = clouds(d)
    part = clustering.KMEANS.bind({"k": k, **GIVEN})
    model = part.fit(X, np.zeros(len(X)))
    centroids = np.asarray(model.params.centroids)
    applied = np.linalg.norm(X[:, None] - centroids, axis=2)
    names = [f"c{j}" for j in range(d)]
    given = found.Found(
        model, applied, X, names, np.ones(len(X)), [f"group {g}" for g in label], np.zeros(d),
        np.ones(d), False,
    )  # fmt: skip
    return given._replace(**changes)


def test_the_best_of_the_starts_is_fitted_and_its_steps_are_counted():
    given = fitted()
    assert given.fitted.certificate.converged
    assert given.fitted.certificate.steps >= 1
    label = given.applied.argmin(axis=1)
    assert all(len(set(label[i : i + 10])) == 1 for i in (0, 10, 20))


def test_facts_say_how_far_the_clusters_are_apart():
    given = fitted()
    facts = clustering.KMEANS.facts(given)
    X, means = given.rows, given.rows.reshape(3, 10, 2).mean(axis=1, keepdims=True)
    inertia = ((X.reshape(3, 10, 2) - means) ** 2).sum()
    null = ((X - X.mean(0)) ** 2).sum()
    assert facts["inertia"] == f"{1 - inertia / null:.1%} less than one cluster's"
    assert facts["agreement"].startswith("adjusted Rand index 1.000")
    assert {line.split(",")[0] for k, line in facts.items() if k.startswith("cluster ")} == {
        "10 rows"
    }
    assert "silhouette" in facts
    alone = clustering.KMEANS.facts(fitted(k=1))
    assert alone["inertia"].startswith("0.0%")
    assert "silhouette" not in alone


def test_what_predict_writes_is_the_nearest_centroid_and_its_distance():
    written = clustering.KMEANS.columns(np.array([[3.0, 1.0], [0.0, 2.0]]))
    assert written["cluster"].tolist() == [2, 1]
    assert written["distance"].tolist() == [1, 0]


@pytest.mark.parametrize(("d", "count"), [(1, 1), (2, 3), (4, 3)])
def test_figures_need_two_columns_to_lie_in_a_plane(d, count):
    assert len(clustering.KMEANS.figures(fitted(d))) == count


def test_the_plane_of_many_columns_is_that_of_their_components():
    given = fitted(4)
    points, origin, B, names = clustering.plane(given)
    np.testing.assert_allclose(origin + given.rows @ B.T, points, atol=1e-9)
    np.testing.assert_allclose(B @ B.T, np.eye(2), atol=1e-12)
    assert names[0].startswith("component 1: ")
    scaled = fitted(2, center=np.array([1.0, 2]), scale=np.array([3.0, 4]))
    points, origin, B, _ = clustering.plane(scaled)
    np.testing.assert_allclose(origin + found.standard(scaled) @ B.T, scaled.rows)
    assert clustering.plane(fitted(1)) is None


def test_ellipses_are_those_of_the_rows_of_each_cluster():
    X, label = clouds(2)
    weight = np.random.default_rng(1).uniform(0.5, 2, 30)
    covariances = clustering._covariances(X, label, weight, 4)
    for j in range(3):
        rows = label == j
        right = np.cov(X[rows].T, aweights=weight[rows], ddof=0)
        np.testing.assert_allclose(covariances[j], right)
    np.testing.assert_array_equal(covariances[3], 0)


@pytest.mark.parametrize("by", ["silhouette", "gap", "elbow"])
def test_three_clusters_are_chosen_by_every_criterion(by):
    X, _ = clouds(2)
    chosen, columns, _, curves, error = clustering.sizes(X, np.ones(30), (2, 3, 4, 5), by, GIVEN)
    assert chosen == 3
    assert set(curves) <= set(columns)
    assert (error is not None) == (by == "gap")
    inertia = np.asarray(columns["inertia"])
    assert (np.diff(inertia) < 0).all()


def test_one_cluster_has_no_silhouette_and_absent_rows_do_not_count():
    X, _ = clouds(2)
    weight = np.append(np.ones(30), 0.0)
    far = np.vstack([X, [1e3, 1e3]])
    ours = clustering.sizes(far, weight, (1, 3), "silhouette", GIVEN)[1]
    right = clustering.sizes(X, np.ones(30), (1, 3), "silhouette", GIVEN)[1]
    assert np.isnan(ours["silhouette"][0])
    np.testing.assert_allclose(ours["silhouette"][1], right["silhouette"][1], rtol=1e-9)
    np.testing.assert_allclose(ours["inertia"], right["inertia"], rtol=1e-9)


def test_of_very_many_rows_silhouettes_take_a_part():
    X, weight = np.arange(40.0).reshape(20, 2), np.r_[np.zeros(5), np.ones(15)]
    rows, share = clustering._drawn(X, weight, most=4)
    assert len(rows) == len(share) == 4
    assert (share == 1).all()
    assert len(clustering._drawn(X, weight)[0]) == 15


def told(X, label, weight, **changes):
    """What three clusters of rows are, without a fit."""
    k, d = 3, X.shape[1]
    means = np.stack([np.average(X[label == j], axis=0, weights=weight[label == j] + 1e-9)
                      for j in range(k)])  # fmt: skip
    inertia = weight @ ((X - means[label]) ** 2).sum(axis=1)
    model = SimpleNamespace(
        params=SimpleNamespace(centroids=means), certificate=Certificate(inertia, 0.0, 1, True)
    )
    applied = 1.0 * (label[:, None] != np.arange(k))
    names = [f"c{j}" for j in range(d)]
    groups = [f"group {i % 3}" for i in range(len(X))]
    given = found.Found(
        model, applied, X, names, weight, groups, np.zeros(d), np.ones(d), False
    )  # fmt: skip
    return given._replace(**changes)


def test_facts_count_a_row_of_weight_two_twice_and_of_weight_zero_never():
    X, label = clouds(3)
    X = X + np.random.default_rng(2).normal(size=X.shape) * 4
    counts = np.random.default_rng(1).integers(0, 3, len(X))
    groups = np.array(told(X, label, counts * 1.0).groups)
    weighted = clustering.KMEANS.facts(told(X, label, counts * 1.0))
    rows, repeated = np.repeat(X, counts, 0), np.repeat(label, counts)
    again = told(rows, repeated, np.ones(len(rows)), groups=list(np.repeat(groups, counts)))
    assert weighted == clustering.KMEANS.facts(again)
    assert {"inertia", "silhouette", "agreement", "cluster 1"} <= set(weighted)
    null = ((rows - rows.mean(axis=0)) ** 2).sum()
    share = 1 - again.fitted.certificate.objective / null
    assert weighted["inertia"] == f"{share:.1%} less than one cluster's"


def test_distances_are_those_of_standard_units_and_means_those_of_the_file():
    X, label = clouds(2)
    center, scale = np.array([5.0, -3]), np.array([100.0, 0.1])
    plain = clustering.KMEANS.facts(told(X, label, np.ones(30)))
    given = told(X, label, np.ones(30), rows=X * scale + center, center=center, scale=scale)
    facts = clustering.KMEANS.facts(given)
    for name in ("inertia", "silhouette"):
        assert facts[name] == plain[name]
    assert facts["silhouette"].startswith(f"{silhouette_score(X, label):.3f} on the mean (")
    mean = (X[:10] * scale + center).mean(axis=0)
    assert f"c0 {mean[0]:.4g}" in facts["cluster 1"]
    assert f"c1 {mean[1]:.4g}" in facts["cluster 1"]


def test_silhouettes_of_a_part_of_the_rows_say_so(monkeypatch):
    monkeypatch.setattr(clustering, "_MOST", 20)
    X, label = clouds(2)
    facts = clustering.KMEANS.facts(told(X, label, np.ones(30)))
    assert "on the mean of 20 rows drawn (" in facts["silhouette"]


def test_clusters_are_described_by_the_columns_in_which_they_are_far_from_all():
    """Far in units of each column's own spread."""
    X = np.c_[np.repeat([0.0, 1.0], 10), np.tile([-500.0, 500.0], 10), np.ones(20)]
    X[:10, 1] -= 100
    label = np.repeat([0, 1], 10)
    names = ["near", "wide", "constant"]
    given = found.Found(None, X, X, names, np.ones(20), None, np.zeros(3), np.ones(3), False)
    facts = clustering.described(given, label, 3, "cluster")
    assert facts["cluster 1"] == "10 rows, mean near 0, wide -100, constant 1"
    assert facts["cluster 3"] == "no rows"
    assert "" not in clustering.described(given, label, 8, "cluster")
    assert clustering.described(given, label, 9, "cluster")[""] == "and 1 more clusters"


class _Asked(Exception):  # noqa: N818
    pass


def test_sweeps_are_given_weights_starts_and_where_to_stop(monkeypatch):
    asked = {}

    def sweep(key, X, **given):
        asked.clear()
        asked.update(given)
        raise _Asked

    monkeypatch.setattr(kmeans, "sweep", sweep)
    weight, stopping = np.arange(4.0), {"tolerance": 0.5, "max_steps": 7}
    given = {"seed": 0, "seeds": 5} | stopping
    with pytest.raises(_Asked):
        clustering.sizes(np.zeros((4, 1)), weight, (2, 3), "gap", given)
    assert asked == stopping | {"sizes": (2, 3), "seeds": 5, "sample_weight": weight}
    with pytest.raises(_Asked):
        clustering.KMEANS.bind({"k": 2, "seeds": 4, **stopping}).fit(
            np.zeros((4, 1)), None, sample_weight=weight
        )
    assert asked == stopping | {"sizes": (2,), "seeds": 4, "sample_weight": weight}


def swept():
    """Two sizes from three starts: the second is the best of the first size, then the third."""
    centroids = np.zeros((2, 3, 3, 1))
    centroids[0, 1, :2, 0] = [0, 10]
    centroids[1, 2, :, 0] = [0, 10, 20]
    objective = np.array([[9.0, 5.0, 7.0], [4.0, 3.0, 1.0]])
    return SimpleNamespace(
        centroids=centroids, best=np.array([1, 2]),
        certificate=SimpleNamespace(objective=objective, steps=np.array([[1, 2, 3], [4, 5, 6]])),
    )  # fmt: skip


def test_the_best_start_is_gone_on_with(monkeypatch):
    asked = {}

    def fit(start, X, **given):
        asked.update(given | {"start": start})
        return kmeans.Fit(None, certificate=Certificate(1.0, 0.0, 10, True))

    monkeypatch.setattr(kmeans, "sweep", lambda *places, **given: swept())
    monkeypatch.setattr(kmeans, "fit", fit)
    weight = np.ones(4)
    part = clustering.KMEANS.bind({"k": 2, "seeds": 3, "max_steps": 5})
    fitted = part.fit(np.zeros((4, 1)), None, sample_weight=weight)
    np.testing.assert_array_equal(asked.pop("start"), swept().centroids[0, 1])
    assert asked == {"sample_weight": weight, "max_steps": 5}
    assert fitted.certificate.steps == 12


def test_silhouettes_of_sizes_are_those_of_the_best_start_with_weights():
    X = np.array([[0.0], [1], [2], [9], [10], [19], [21]])
    counts = np.array([1, 2, 1, 3, 1, 1, 0])
    means = clustering._means(X, counts * 1.0, swept(), (2, 3))
    for mean, cuts in zip(means, ([5.5], [5.5, 15]), strict=True):
        rows = np.repeat(X, counts, 0)
        right = silhouette_score(rows, np.searchsorted(cuts, rows[:, 0]))
        np.testing.assert_allclose(mean, right, rtol=1e-9)
    assert np.isnan(clustering._means(X[:3], np.ones(3), swept(), (2, 3))).all()  # all at one


def test_the_gap_statistic_is_of_the_best_starts_and_its_rule_chooses(monkeypatch):
    asked = {}

    def gap_statistic(key, inertias, X, *, sample_weight):
        asked.update(weight=sample_weight, inertias=inertias(key, X, sample_weight=sample_weight))
        return SimpleNamespace(gap=np.array([1.0, 3.0]), error=np.array([0.1, 9.0]), chosen=0)

    monkeypatch.setattr(kmeans, "sweep", lambda *places, **given: swept())
    monkeypatch.setattr(clustering.clusters, "gap_statistic", gap_statistic)
    monkeypatch.setattr(clustering, "_means", lambda *places: np.full(2, np.nan))
    weight = np.ones(4)
    given = (np.zeros((4, 1)), weight, (2, 3))
    chosen, columns, *_, error = clustering.sizes(*given, "gap", {"seed": 0, "seeds": 3})
    assert chosen == 2
    assert asked["weight"] is weight
    np.testing.assert_array_equal(asked["inertias"], [5, 1])
    np.testing.assert_array_equal(columns["inertia"], [5, 1])
    np.testing.assert_array_equal(error, [0.1, 9])
    assert clustering.sizes(*given, "silhouette", {"seed": 0, "seeds": 3})[0] == 0
    monkeypatch.setattr(clustering, "_means", lambda *places: np.array([0.2, 0.9]))
    assert clustering.sizes(*given, "silhouette", {"seed": 0, "seeds": 3})[0] == 3


def test_figures_are_given_weights_and_name_their_units(monkeypatch):
    drawn, X, label = {}, *clouds(2)
    center, scale = np.array([5.0, -3]), np.array([100.0, 0.1])
    weight = np.arange(30.0)
    for name in ("partition", "steps", "silhouettes"):
        monkeypatch.setattr(
            drawing, name,
            lambda *places, name=name, **given: drawn.update({name: (places, given)}),
        )  # fmt: skip
    monkeypatch.setattr(report, "png", lambda figure: b"")
    monkeypatch.setattr(clustering, "_path", lambda points, s, k: (points, s, k))
    given = told(X, label, weight, rows=X * scale + center, center=center, scale=scale)
    clustering.KMEANS.figures(given)
    places, more = drawn["partition"]
    np.testing.assert_array_equal(places[0], given.rows)
    centroids = given.fitted.params.centroids * scale + center
    np.testing.assert_allclose(more["means"], centroids)
    assert more["names"] == ["c0", "c1"]
    assert more["clusters"] == ["cluster 1", "cluster 2", "cluster 3"]
    places, more = drawn["steps"]
    np.testing.assert_allclose(places[0], X)
    np.testing.assert_allclose(places[1][0], X)
    assert more["names"] == ["c0, in standard units", "c1, in standard units"]
    for _, more in drawn.values():
        assert len(more["sample_weight"]) in (30, 29)
        assert np.sum(more["sample_weight"]) == weight.sum()
    clustering.KMEANS.figures(told(X, label, weight))
    assert drawn["steps"][1]["names"] == ["c0", "c1"]


def test_the_path_is_of_every_step_and_ends_where_the_fit_does(monkeypatch):
    weights = []

    def fit(start, points, *, sample_weight, max_steps=9):
        weights.append(sample_weight)
        steps = min(max_steps, 3)
        return SimpleNamespace(
            params=SimpleNamespace(centroids=start + steps),
            certificate=SimpleNamespace(steps=steps),
        )

    monkeypatch.setattr(kmeans, "fit", fit)
    monkeypatch.setattr(kmeans, "init_random", lambda key, points, **given: np.zeros((2, 1)))
    weight = np.ones(5)
    path = clustering._path(np.zeros((5, 1)), weight, 2)
    np.testing.assert_array_equal(path[:, 0, 0], [0, 1, 2, 3])
    assert all(w is weight for w in weights)


def test_the_plane_counts_weights():
    X, label = clouds(3)
    weight = np.random.default_rng(1).uniform(0, 3, 30)
    points, _, _, names = clustering.plane(told(X, label, weight))
    values = np.linalg.eigvalsh(np.cov(X.T, aweights=weight, ddof=0))[::-1]
    shares = values / values.sum()
    assert names == [f"component {j}: {shares[j - 1]:.1%} of the variance" for j in (1, 2)]
    np.testing.assert_allclose(np.average(points, axis=0, weights=weight), 0, atol=1e-9)

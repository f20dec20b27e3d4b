"""What the shell tells and draws of clusters, on clusters whose answer is known."""

import numpy as np
import pytest

from mlmath.cli import clustering, found

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

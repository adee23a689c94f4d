"""Fixtures for prefs-db/measures.h: tests/fixtures/agreement.json from scikit-learn, krippendorff and choix on random data.

    pip install scikit-learn krippendorff choix
    python tests/reference/agreement.py
"""
import importlib.metadata
import json
import os

import choix
import krippendorff
import numpy
from sklearn.metrics import cohen_kappa_score

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures", "agreement.json")
random = numpy.random.default_rng(6)


def kappa_case(categories, units):
    """Two raters, the second of whom copies the first two times out of three."""
    first = random.integers(0, categories, units)
    second = numpy.where(random.random(units) < 0.67, first, random.integers(0, categories, units))
    table = numpy.zeros((categories, categories), int)
    numpy.add.at(table, (first, second), 1)
    return {"table": table.flatten().tolist(), "categories": categories,
            "kappa": float(cohen_kappa_score(first, second, labels=list(range(categories))))}


def alpha_case(categories, raters, units, missing):
    """Raters around a true value, some of whom saw only some units. counts[u][c]: raters who put unit u into c."""
    truth = random.integers(0, categories, units)
    ratings = numpy.clip(truth + random.integers(-1, 2, (raters, units)), 0, categories - 1).astype(float)
    ratings[random.random((raters, units)) < missing] = numpy.nan
    counts = [[int(numpy.sum(ratings[:, u] == c)) for c in range(categories)] for u in range(units)]
    alpha = krippendorff.alpha(value_counts=numpy.array(counts), value_domain=list(range(categories)), level_of_measurement="ordinal")
    return {"categories": categories, "counts": counts, "alpha": float(alpha)}


def strengths_case(models, games):
    """Games between models of random strength; choix gives the strengths of largest likelihood, with mean 0."""
    strengths = random.normal(0, 1, models)
    pairs, wins = [], numpy.zeros((models, models), int)
    for _ in range(games):
        i, j = random.choice(models, 2, replace=False)
        if random.random() >= 1 / (1 + numpy.exp(strengths[j] - strengths[i])):
            i, j = j, i
        pairs.append((int(i), int(j)))
        wins[i, j] += 1
    fitted = choix.opt_pairwise(models, pairs, method="Newton-CG", tol=1e-12)
    return {"models": models, "wins": wins.flatten().tolist(), "strengths": (fitted - fitted.mean()).tolist()}


fixture = {
    "made_with": {n: importlib.metadata.version(n) for n in ("scikit-learn", "krippendorff", "choix", "numpy")},
    "kappa": [kappa_case(2, 50), kappa_case(3, 200), kappa_case(5, 80)],
    "alpha": [alpha_case(3, 2, 40, 0), alpha_case(3, 8, 60, 0.5), alpha_case(7, 5, 50, 0.3)],
    "strengths": [strengths_case(3, 60), strengths_case(8, 600), strengths_case(20, 4000)],
}
with open(OUT, "w") as f:
    f.write("{\n" + ",\n".join(f" {json.dumps(k)}: " + json.dumps(v) for k, v in fixture.items()) + "\n}\n")

"""How near recruited profiles come to held-out people, beside independent columns and resampled real people.

    CROWDLLM_DATA_DIR=<folder> python benchmarks/profiles.py [--data offensiveness bfi] [--seeds 10] [--n 0]

Split `participant`, 20 % test. Per seed: learn from the training people, make a crowd (of as many people as
there are training people, or of `--n`), and compare its margins with those of the held-out people by total
variation.

- generator: `ProfileGenerator.fit(train).recruit(n)`
- independent: each column drawn on its own from the training people (what the paper's reference code does)
- resample: training people drawn with replacement
- floor: the training people themselves, a sample of real people; where crowds of the default size come out
  on average if the generator is perfect

`copies`: share of the crowd that equals a training person in every column; in the row `floor`, of the
held-out people. `W1`: Wasserstein-1 of the joint profiles (`crowdllm.profiles.fidelity.profile_wasserstein`),
a distance per person summed over columns. Intervals are 95 % (Student) for the mean over seeds; splits
overlap, so they say how much the split matters, not how much another sample of people would. `vs resample` is
paired: the difference of the row's two-way TV to that of `resample` on the same split. The last line is the
generator's log-score on held-out people (whose levels all occur in training) minus that of independent
columns with the same margins.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.stats import t as student

from crowdllm.data.profiles import Profiles
from crowdllm.datasets import load_dataset
from crowdllm.profiles.fidelity import copy_share, margin_distances, profile_wasserstein
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.rng import generator

MEASURES = ("one-way TV", "two-way TV", "W1", "copies")


def independent(train: Profiles, n: int, seed: int) -> Profiles:
    """n people whose columns are drawn from the training people one by one."""
    rng = generator(seed, "benchmark:independent")
    columns = [train.values_NC[rng.integers(len(train), size=n), c] for c in range(len(train.columns))]
    return Profiles(train.columns, np.arange(n).astype(object), np.stack(columns, axis=1))


def resample(train: Profiles, n: int, seed: int) -> Profiles:
    """n training people with replacement."""
    rows = generator(seed, "benchmark:resample").integers(len(train), size=n)
    return Profiles(train.columns, np.arange(n).astype(object), train.values_NC[rows])


def measure(train: Profiles, held: Profiles, made: Profiles) -> dict[str, float]:
    """The four measures of one crowd."""
    tv = margin_distances(held, made).groupby("ways")["distance"].mean()
    copies = copy_share(train, held if made is train else made)
    shuffled = made.take(generator(0, "benchmark:order").permutation(len(made)))
    w1 = profile_wasserstein(held, shuffled, limit=min(400, len(made)))
    return dict(zip(MEASURES, (float(tv[1]), float(tv[2]), w1, copies), strict=True))


def log_score_gain(fitted: ProfileGenerator, held: Profiles) -> float:
    """Nats per held-out person by which the joint distribution beats the product of its own margins."""
    codes = np.stack([cell.codes(held.values_NC[:, c]) for c, cell in enumerate(fitted.cells)], axis=1)
    shares = np.stack([margin[codes[:, c]] for c, margin in enumerate(fitted.margins)], axis=1)
    seen = (shares > 0).all(axis=1)
    return float(np.mean(fitted.mixture.log_score(codes[seen]) - np.log(shares[seen]).sum(axis=1)))


def one_seed(name: str, seed: int, n: int) -> tuple[dict[str, dict[str, float]], int, float]:
    """Measures per row, the number of classes that were chosen, and the gain in log-score."""
    split = load_dataset(name).split(by="participant", fraction=0.2, seed=seed)
    train, held = split.train.profiles, split.test.profiles
    size = n or len(train)
    fitted = ProfileGenerator.fit(train, seed=seed)
    crowds = {
        "generator": fitted.recruit(size, seed),
        "independent": independent(train, size, seed),
        "resample": resample(train, size, seed),
        "floor": train,
    }
    rows = {row: measure(train, held, made) for row, made in crowds.items()}
    return rows, len(fitted.mixture.class_K), log_score_gain(fitted, held)


def interval(values: list[float]) -> str:
    """Mean and half-width of its 95 % interval."""
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{np.mean(values):.4f} ±{half:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["offensiveness", "bfi"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--n", type=int, default=0, help="size of the crowds; 0 for as many as training people")
    chosen = parser.parse_args()
    for name in chosen.data:
        began = time.perf_counter()
        results = [one_seed(name, seed, chosen.n) for seed in range(chosen.seeds)]
        classes = [k for _, k, _ in results]
        size = chosen.n or "as many as training people"
        print(f"\n{name}, split participant, {chosen.seeds} seeds, n = {size}, classes {classes}")
        print("".join(f"{title:>20}" for title in ("", *MEASURES, "vs resample")))
        for row in results[0][0]:
            cells = [interval([r[row][m] for r, *_ in results]) for m in MEASURES]
            paired = interval([r[row]["two-way TV"] - r["resample"]["two-way TV"] for r, *_ in results])
            print("".join(f"{cell:>20}" for cell in (row, *cells, paired)))
        print(f"log-score gain over independent columns: {interval([g for *_, g in results])} nats per person")
        print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

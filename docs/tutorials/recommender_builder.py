"""Recommender builder: how will ratings of a product spread before anybody rated it?

`musical`: star ratings of musical instruments by Amazon customers. Products nobody rated yet get a distribution of
stars from their description; no LLM, so this is the bare floor of what the crowd can say.
"""

# %% A fifth of the products is new.
import numpy as np

import crowdllm

split = crowdllm.load_dataset("musical").split("problem", fraction=0.2, seed=0)
print(split.train.describe())
model = crowdllm.fit(split.train, "none", max_epochs=5, profile_penalties=(80.0,), embedding_penalties=(20.0, 200.0))

# %% Simulated customers rate them; keep counts per star.
crowd = crowdllm.simulate(model, 500, split.test.problems, seed=0)
stars = len(split.train.response_type.levels)


def spread(people: crowdllm.Study) -> np.ndarray:
    flat = people.responses.problem_R * stars + people.responses.values_RD[:, 0].astype(int)
    counts = np.bincount(flat, minlength=len(people.problems) * stars).reshape(-1, stars)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(np.cumsum(one - other, axis=1)[:, :-1]).sum(axis=1).mean())


human = spread(split.test)
pooled = np.tile(np.bincount(split.train.responses.values_RD[:, 0].astype(int), minlength=stars), (len(human), 1))
print(f"Wasserstein distance to the real ratings: crowd {distance(human, spread(crowd)):.3f} stars,")
print(f"the same histogram for every product: {distance(human, pooled / pooled[0].sum()):.3f} stars")

# %% What not to conclude: where the two lines are equal, the descriptions say nothing about ratings, and no crowd will
# change that. Give the fit an LLM's reference (`crowdllm references`) and look again, with `crowdllm evaluate`.

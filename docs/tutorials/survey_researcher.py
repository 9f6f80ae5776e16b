"""Survey researcher: what would people say to items they were not asked?

You ran a personality questionnaire (`bfi`, 25 items, answers 1-6) and wish you had asked a few items more. Some people
answered everything; of others you have some answers. This takes a fitted crowd, checks that its people are coherent,
and predicts the answers that are missing.
"""

# %% The study. Real answers; here a tenth of the people, so that the page is made in seconds.
import numpy as np

import crowdllm

study = crowdllm.load_dataset("bfi")
split = study.split("participant", fraction=0.2, seed=0, train_fraction=0.1)
print(split.train.describe())

# %% The crowd. No LLM is needed for items that people have answered.
model = crowdllm.fit(split.train, "none", max_epochs=15, profile_penalties=(80.0,))
crowd = crowdllm.simulate(model, 1000, seed=0)

# %% One simulated person answers like one person: items that go together in people go together in the crowd.


def correlations(people: crowdllm.Study) -> np.ndarray:
    table = np.full((len(people.profiles), len(people.problems)), np.nan)
    table[people.responses.participant_R, people.responses.problem_R] = people.responses.values_RD[:, 0]
    complete = table[~np.isnan(table).any(axis=1)]
    return np.corrcoef(complete.T)


upper = np.triu_indices(25, 1)
human, simulated = correlations(split.test)[upper], correlations(crowd)[upper]
print(f"root mean square difference of {len(human)} correlations: {np.sqrt(np.mean((human - simulated) ** 2)):.3f}")
print(f"if people answered every item independently:              {np.sqrt(np.mean(human**2)):.3f}")

# %% Digital twins: people who answered ten items, and what they would say to the others.
known = split.test.responses.take(split.test.responses.problem_R < 10)
from dataclasses import replace  # noqa: E402

half = replace(split.test, responses=known)
twins = crowdllm.twins(model, half, seed=0)
print(f"{len(twins.profiles)} twins, {len(twins.responses):,} answers; the first: {twins.profiles.ids[0]}")

# %% What not to conclude: a twin is a draw of what a person with these answers *might* say. Draw several (other seeds)
# and look at their spread before you say anything about a person.

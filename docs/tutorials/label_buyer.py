"""Label buyer: which comments are offensive to whom, and how many labellers are still needed?

`offensiveness`: 1,500 comments, each rated 1-5 by about nine people. You can pay for labels of some comments;
the others are labelled by a crowd that learned from them, with one recorded GPT-4 decision per comment.
"""

# %% A fifth of the comments has no human label. References: one GPT-4 decision each.
import numpy as np

import crowdllm

references = crowdllm.load_references("offensiveness", "gpt4")
split = crowdllm.load_dataset("offensiveness").split("problem", fraction=0.2, seed=0)
model = crowdllm.fit(
    split.train, references, max_epochs=5, profile_penalties=(80.0,), embedding_penalties=(20.0, 200.0)
)
crowd = crowdllm.simulate(model, 200, split.test.problems, references, seed=0)

# %% Decide each comment, as you would with labellers.
for method in ("mean", "majority_vote"):
    machine = crowdllm.aggregate(crowd, method).decision_TD[:, 0]
    people = crowdllm.aggregate(split.test, method).decision_TD[:, 0]
    print(f"{method:>14}: {np.mean(np.abs(machine - people)):.2f} levels from the humans' own decision on average")

# %% How good is that? Two halves of the human labellers of a comment differ too: the error a perfect model would show.
rng = np.random.default_rng(0)
half = rng.random(len(split.test.responses)) < 0.5
first, second = (
    np.bincount(r.problem_R, r.values_RD[:, 0], 300) / np.maximum(np.bincount(r.problem_R, minlength=300), 1)
    for r in (split.test.responses.take(half), split.test.responses.take(~half))
)
print(f"two halves of the labellers: {np.mean(np.abs(first - second)):.2f}")

# %% Which comments to send to people: those on which the simulated crowd disagrees most with itself.
values = crowd.responses.values_RD[:, 0]
spread = np.array([values[crowd.responses.problem_R == t].std() for t in range(len(split.test.problems))])
print("ask humans first about:", ", ".join(split.test.problems.ids[np.argsort(-spread)[:5]]))

# %% What not to conclude: a label of the crowd is no label of yours until some humans have checked it.

"""Market researcher: how would customers take a new statement, and who differs from whom?

`ev_attitudes` are seven statements on electric cars, rated from -3 to 3 by 164 people with demographics. One statement
is left out, as if it were a new one that nobody was asked, and an LLM's guess of its distribution is at hand.
"""

# %% The study, and what the LLM was asked once per statement: how would a crowd like this one spread over the scale?
import numpy as np

import crowdllm

study = crowdllm.load_dataset("ev_attitudes")
references = crowdllm.load_references("ev_attitudes", "elicited")
split = study.split("problem", fraction=0.15, seed=1)
statement = split.test.problems.texts[0]
print(f"new: {statement}")

# %% Fit on the other statements, recruit 1,000 customers, ask them the new one.
model = crowdllm.fit(split.train, references, max_epochs=15, profile_penalties=(80.0,))
crowd = crowdllm.simulate(model, 1000, split.test.problems, references, seed=0)
levels = study.response_type.levels
shares = np.bincount(crowd.responses.values_RD[:, 0].astype(int), minlength=len(levels)) / len(crowd.responses)
human = np.bincount(split.test.responses.values_RD[:, 0].astype(int), minlength=len(levels))
print("level     ", *[f"{level:>5}" for level in levels])
print("simulated ", *[f"{share:5.2f}" for share in shares])
print("real      ", *[f"{share:5.2f}" for share in human / human.sum()], f"({human.sum()} people)")

# %% Who is asked can be chosen: the same statement, asked of one group only.
column = next(c for c in study.profiles.columns if c.levels)
for level in column.levels[:2]:
    group = crowdllm.simulate(model, 500, split.test.problems, references, seed=0, where=[f"{column.name}={level}"])
    print(f"{column.name} = {level}: mean level {group.responses.values_RD.mean():.2f}")

# %% What not to conclude: seven statements teach little about how far the LLM can be trusted on an eighth, and 164
# volunteers are not the market. `crowdllm estimate` says how wide the interval is, and how many humans to ask.

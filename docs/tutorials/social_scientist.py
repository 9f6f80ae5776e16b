"""Social scientist: how would other voters have voted, and are simulated voters like real ones?

`voting`: 180 students of Zurich each chose five of 24 city projects. GPT-4 voted too, under 180 personas.
"""

# %% A fifth of the voters is kept apart.
import numpy as np

import crowdllm

references = crowdllm.load_references("voting", "gpt4-personas")
split = crowdllm.load_dataset("voting").split("participant", fraction=0.2, seed=0)
model = crowdllm.fit(split.train, references, max_epochs=15, profile_penalties=(80.0,))

# %% A thousand simulated voters; every ballot names exactly five different projects.
crowd = crowdllm.simulate(model, 1000, seed=0)
picked = crowd.responses.values_RD.sum(axis=1)
print(f"{len(picked):,} ballots of {picked.min():.0f} to {picked.max():.0f} projects")

# %% Votes per project, beside the voters that were kept apart and GPT-4's personas.
real = split.test.responses.values_RD.mean(axis=0)
simulated = crowd.responses.values_RD.mean(axis=0)
personas = np.nanmean(references.sources[0].values_TKD[0], axis=0)
for name, shares in (("crowd", simulated), ("GPT-4 personas", personas)):
    print(
        f"{name:>15}: mean error {np.abs(shares - real).mean():.3f}, correlation {np.corrcoef(shares, real)[0, 1]:.2f}"
    )
names = split.test.problems.options[0]
for t in np.argsort(-simulated)[:5]:
    print(f"{simulated[t]:.2f} simulated, {real[t]:.2f} real: {names[t][:70]}")

# %% What not to conclude: simulated ballots are forecasts of ballots. They are not votes and must never be counted as
# such.

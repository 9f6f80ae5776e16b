"""A small decoder trained on the spot as survey participants, for studies in which a tuned language model takes part.

It stands for what tuning makes of a language model where no pre-trained weights are at hand (arXiv 2403.20252): it
reads a profile and a question, and gives a distribution over the answers. Each answer is drawn by itself, so that one
person's answers have nothing in common but the profile.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from crowdllm.config import TuneConfig, make_config
from crowdllm.data.study import Study
from crowdllm.experiments.studies.fits import Given
from crowdllm.experiments.studies.tuning import WORDS
from crowdllm.methods.protocol import Simulator

DECODER = "tuned decoder"
SHAPE: Given = (("width", 64), ("layers", 2), ("heads", 4), ("vocabulary", 512))
TRAINED: Given = (
    ("adapter", "full"), ("learning_rate", 0.003), ("schedule", "cosine"), ("warmup", 0.05), ("weight_decay", 0.1),
    ("clip", 1.0), ("batch_size", 16), ("micro_batch", 16), ("max_epochs", 10), ("patience", 3), ("held_out", 0.15),
    ("without_profile", 1.0),
)  # fmt: skip
QUICK_TRAINED: Given = tuple((dict(TRAINED) | {"max_epochs": 3}).items())


def decoder_participants(train: Study, trained: Given, seed: int) -> Simulator:
    """A decoder of some 100,000 random weights, trained on the answers of this part (`TuneConfig` settings `trained`).

    Answers are drawn at the temperature with the lowest KL on people held out of its training. Raises MissingExtraError
    without transformers.
    """
    from crowdllm.methods.tuned import simulator
    from crowdllm.survey_tuning.decoder import small_decoder
    from crowdllm.survey_tuning.interview import make_interview
    from crowdllm.survey_tuning.tuning import tune

    config: TuneConfig = make_config(TuneConfig, dict(trained))
    asked = make_interview(train, config, WORDS)
    answers = train.responses
    prompts, _ = asked.prompts(train.problems, train.profiles, answers.participant_R, answers.problem_R)
    with TemporaryDirectory(prefix="crowdllm-decoder-") as folder:
        base = small_decoder(Path(folder) / "base", [prompt.text for prompt in prompts], **dict(SHAPE), seed=seed)
        tuned = tune([train], str(base), config, seed, None, WORDS)
    return simulator(tuned, train, "kl", seed)

"""What tuning a real 7-12 B model on one GPU would take, by the function that `crowdllm tune --estimate` uses.

    python benchmarks/tuning_memory.py [--studies bfi ev_attitudes beps] [--json FILE]

No weights are loaded or made: the shapes are those published for Llama 3.1 8B, Qwen3 8B and Gemma 3 12B, written down
below. Tokens are counted by a byte-level tokenizer of 8,192 merges learned from the study, as the models' own are not
at hand; theirs make fewer tokens of English. Operations per second are a third of what the makers say: 100e12 (A100),
300e12 (H200).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from crowdllm.config import TuneConfig
from crowdllm.datasets import load_dataset
from crowdllm.survey_tuning.base_model import find_base
from crowdllm.survey_tuning.decoder import small_decoder
from crowdllm.survey_tuning.memory import Needs, estimate_tuning, plan_needs

GPUS = {"A100": 100e12, "H200": 300e12}
LLAMA = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
QWEN = {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32}
GEMMA = {"hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48, "num_attention_heads": 16}


def models() -> dict[str, Any]:
    """The configurations, from the models' published config.json."""
    from transformers import Gemma3TextConfig, LlamaConfig, Qwen3Config

    return {
        "Llama 3.1 8B": LlamaConfig(**LLAMA, num_key_value_heads=8, vocab_size=128256, tie_word_embeddings=False),
        "Qwen3 8B": Qwen3Config(
            **QWEN, num_key_value_heads=8, head_dim=128, vocab_size=151936, tie_word_embeddings=False
        ),
        "Gemma 3 12B": Gemma3TextConfig(**GEMMA, num_key_value_heads=8, head_dim=256, vocab_size=262208),
    }


def needs_of(name: str, config: TuneConfig) -> Needs:
    """What the study asks of an epoch, counted with a tokenizer learned from its own texts."""
    study = load_dataset(name)
    texts = [str(text) for text in study.problems.texts] + [study.requirements, study.context]
    texts += [f"{column.label or column.name} {level}" for column in study.profiles.columns for level in column.levels]
    with tempfile.TemporaryDirectory() as folder:
        small_decoder(Path(folder) / "model", texts, vocabulary=8192, width=32, layers=1)
        return plan_needs(find_base(str(Path(folder) / "model"))[0], [study], config)[1]


def main() -> None:
    """Prints the table, and writes it where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--studies", nargs="+", default=["bfi", "ev_attitudes", "beps"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    table = Table(title="GB, and minutes an epoch", box=box.HORIZONTALS, padding=0)
    for heading in ("study", "model", "adapter", "trained", "tokens an epoch", "memory", *GPUS):
        table.add_column(heading, justify="left" if heading in ("study", "model", "adapter") else "right", no_wrap=True)
    records = []
    for study in asked.studies:
        for adapter in ("lora", "qlora"):
            config = TuneConfig(adapter=adapter)
            needs = needs_of(study, config)
            for name, shape in models().items():
                found = estimate_tuning(shape, needs, config)
                minutes = {gpu: found.epoch_operations / speed / 60 for gpu, speed in GPUS.items()}
                cells = [f"{found.trained_weights / 1e6:.0f} M", f"{needs.epoch_tokens:,}", f"{found.total / 1e9:.1f}"]
                table.add_row(study, name, adapter, *cells, *(f"{m:.1f}" for m in minutes.values()))
                records.append({"study": study, "model": name, "adapter": adapter, "memory": found.total} | minutes)
    Console(width=120).print(table)
    if asked.json:
        asked.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

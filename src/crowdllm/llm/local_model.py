"""Find, name and load a causal language model of the transformers library, by its name on the Hugging Face Hub or path.

What answers is named so that a cache of its answers can be trusted: on the Hub by the commit, in a folder by a hash of
its files. Of a safetensors file above 64 MB the hash takes its size, its header and, of every tensor, the first, middle
and last 4 kB: training changes all entries of the tensors that it changes, so a model that was trained further never
keeps its name, though a single number changed by hand in the middle of a large tensor would. All other files that say
how the model answers (configuration, tokenizer, chat template) count whole.

Weights are read from safetensors only (other formats can carry code), and a model's own Python code is never run.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.errors import ConfigError, CrowdLLMError, DataUnavailableError, MissingExtraError
from crowdllm.llm.causal_lm import CausalLM, causal_lm
from crowdllm.llm.chat_prompt import ChatPrompt, chat_prompt, one_line

DTYPES = ("auto", "float32", "float16", "bfloat16")
WHOLE = 64_000_000  # bytes up to which a weights file is hashed whole
SAMPLE = 4096
_SAYS_HOW = (".json", ".jinja", ".model", ".txt", ".tiktoken")


@dataclass(frozen=True)
class Source:
    """Where a model is: `place` for transformers, `version` the commit on the Hub or the hash of the folder."""

    name: str
    place: str
    version: str
    commit: str | None


@dataclass(frozen=True)
class LocalModel:
    """A loaded model: `stop` are the tokens that end an answer, `context` the most tokens it takes (0: no limit)."""

    lm: CausalLM
    prompt: ChatPrompt
    stop: frozenset[int]
    context: int


def find_model(model: str, revision: str | None = None) -> Source:
    """Which model this is; downloads no more than its configuration.

    Raises DataUnavailableError where there is none, MissingExtraError without transformers.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise DataUnavailableError(f"the folder {model!r} holds no model: it has no config.json")
        if revision is not None:
            raise ConfigError(f"revision={revision!r} is for models on the Hugging Face Hub, and {model!r} is a folder")
        return Source(folder.resolve().name, str(folder), folder_hash(folder), None)
    if folder.exists() or model.startswith(("/", ".", "~")) or "\\" in model or model.count("/") > 1:
        what = "is a file" if folder.exists() else "does not exist"
        raise DataUnavailableError(
            f"{model!r} {what}: give the folder of a model (with config.json, tokenizer and *.safetensors), or the "
            "name of one on the Hugging Face Hub, such as 'Qwen/Qwen3-0.6B'"
        )
    with _told(model, revision):
        from transformers.utils import cached_file

        config = cached_file(model, "config.json", revision=revision)
    commit = re.fullmatch(r"[0-9a-f]{40}", Path(str(config)).parent.name)
    if not commit:
        raise DataUnavailableError(f"the commit of the model {model!r} is not known: give the path of its folder")
    return Source(model, model, commit.group(0), commit.group(0))


def folder_hash(folder: Path) -> str:
    """16 hexadecimal digits that change with the model in a folder; see the module for what is read."""
    total = hashlib.blake2b(digest_size=8)
    for path in sorted([*folder.glob("*"), *folder.glob("additional_chat_templates/*")]):
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.suffix == ".safetensors":
            content = _weights_hash(path)
        elif path.suffix in _SAYS_HOW:
            content = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
        else:
            continue
        total.update(path.relative_to(folder).as_posix().encode() + b"\x00" + content)
    return total.hexdigest()


def _weights_hash(path: Path) -> bytes:
    size = path.stat().st_size
    found = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=16)
    with path.open("rb") as file:
        if size <= WHOLE:
            while block := file.read(1 << 20):
                found.update(block)
            return found.digest()
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, size))
        found.update(header)
        start = 8 + length
        try:
            places = [tensor["data_offsets"] for name, tensor in json.loads(header).items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataUnavailableError(f"{str(path)!r} is no safetensors file: its header cannot be read") from None
        for first, end in places:
            for offset in (first, (first + end - SAMPLE) // 2, end - SAMPLE):
                file.seek(start + max(first, offset))
                found.update(file.read(min(SAMPLE, end - first)))
    return found.digest()


def load_model(source: Source, device: str = "auto", dtype: str = "auto", quantization: Any = None) -> LocalModel:
    """Load weights and tokenizer, without progress bars but for downloads.

    quantization: how transformers is to store the weights in fewer bits (its `quantization_config`); None: as they are.

    Raises MissingExtraError, DataUnavailableError where files are missing, ConfigError for a model that is no causal
    language model, needs code of its own, does not fit into memory, or has a chat template that cannot be used.
    """
    with _told(source.place, source.commit), _quietly():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        settings: dict[str, Any] = {"revision": source.commit or "main", "trust_remote_code": False}
        weights = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True, **_device_map(device)}
        weights |= {} if quantization is None else {"quantization_config": quantization}
        tokenizer = AutoTokenizer.from_pretrained(source.place, **settings)
        model, report = AutoModelForCausalLM.from_pretrained(source.place, **weights, **settings)
    if missing := sorted(report["missing_keys"]):
        raise ConfigError(
            f"the weights of the model {source.place!r} lack {len(missing)} tensors ({', '.join(missing[:3])}, ...): "
            "it is not whole, or not a causal language model"
        )
    if unused := sorted(report["unexpected_keys"]):
        warnings.warn(
            f"{len(unused)} tensors in the weights of {source.place!r} have no place in the model and are not used: "
            f"{', '.join(unused[:3])}, ...",
            stacklevel=2,
        )
    prompt = chat_prompt(tokenizer, source.place)
    return LocalModel(causal_lm(model.eval()), prompt, _stop(model, prompt), _context(model.config, tokenizer))


def load_tokenizer(source: Source) -> tuple[Any, ChatPrompt, int]:
    """A model's configuration, how its prompts are written, and its context, without its weights.

    Raises as `load_model`.
    """
    with _told(source.place, source.commit), _quietly():
        from transformers import AutoConfig, AutoTokenizer

        settings: dict[str, Any] = {"revision": source.commit or "main", "trust_remote_code": False}
        config = AutoConfig.from_pretrained(source.place, **settings)
        tokenizer = AutoTokenizer.from_pretrained(source.place, **settings)
    return config, chat_prompt(tokenizer, source.place), _context(config, tokenizer)


def _device_map(device: str) -> dict[str, Any]:
    """Where the weights go, as transformers wants to be told; GPUs before the CPU for "auto"."""
    import torch

    if device == "auto":
        return {"device_map": "auto"} if torch.cuda.is_available() else {}
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device={device!r} is none: choose auto, cpu, cuda, cuda:0, ... or mps") from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (wanted.index or 0) >= count.get(wanted.type, 0):
        raise ConfigError(f"device={device!r} is not there: torch sees no such device here; choose auto or cpu")
    return {} if wanted.type == "cpu" else {"device_map": {"": device}}


def _stop(model: Any, prompt: ChatPrompt) -> frozenset[int]:
    """Every token that ends a turn: the model's own, the tokenizer's, and the one that the chat template writes."""
    own = getattr(model.generation_config, "eos_token_id", None)
    ids = list(own) if isinstance(own, list | tuple) else [own]
    return frozenset(int(i) for i in [*ids, prompt.tokenizer.eos_token_id, *prompt.end_of_turn] if i is not None)


def _context(config: Any, tokenizer: Any) -> int:
    config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(known := getattr(config, name, None), int) and known > 0:
            return known
    return int(tokenizer.model_max_length) if tokenizer.model_max_length < 10**9 else 0


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' progress bars and log lines below errors, which are put back; downloads keep their bars."""
    from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    level, bars, downloads = logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not downloads:
        enable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _told(model: str, revision: str | None) -> Iterator[None]:
    """Errors of transformers as those of this package, with what to do next."""
    try:
        yield
    except CrowdLLMError:
        raise
    except ImportError as error:
        if (error.name or "").split(".")[0] in ("transformers", "huggingface_hub") or "accelerate" in str(error):
            raise MissingExtraError(f"the model {model!r} in this process", "local") from None
        raise ConfigError(f"the model {model!r} cannot be loaded: {one_line(error)}") from None
    except Exception as error:
        known = _explained(error, model, revision)
        if known is None:
            raise
        raise known from None


def _explained(error: Exception, model: str, revision: str | None) -> CrowdLLMError | None:
    """What went wrong in words; None for what is a fault of the program."""
    if out_of_memory(error):
        return ConfigError(
            f"there is not enough memory to load the model {model!r} ({one_line(error)}): choose a smaller model, "
            "another device, or dtype='bfloat16'"
        )
    line = one_line(error)
    kind = type(error).__name__
    if "trust_remote_code" in str(error):
        return ConfigError(f"the model {model!r} needs Python code of its own, which is never run: choose another one")
    if isinstance(error, OSError):
        folder = Path(model).expanduser()
        if folder.is_dir():
            only = "" if any(folder.glob("*.safetensors")) else "weights are read from *.safetensors only: "
            return DataUnavailableError(f"the model in the folder {model!r} cannot be loaded: {only}{line}")
        return _not_found(model, revision, line)
    if "Unrecognized configuration class" in str(error):
        return ConfigError(f"the model {model!r} is no causal language model, which writes token after token")
    if "ignore_mismatched_sizes" in str(error):
        return ConfigError(f"the weights of the model {model!r} have other shapes than its config.json says")
    if isinstance(error, ValueError | KeyError) or kind in ("SafetensorError", "StrictDataclassFieldValidationError"):
        return ConfigError(f"the model {model!r} cannot be loaded: {line}")
    return None


def _not_found(model: str, revision: str | None, line: str) -> DataUnavailableError:
    from huggingface_hub import constants

    at = f" at revision {revision!r}" if revision else ""
    offline = "unset HF_HUB_OFFLINE (with it, only models downloaded before are found), or "
    return DataUnavailableError(
        f"there is no model {model!r}{at} here, nor could it be downloaded: "
        f"{offline * constants.HF_HUB_OFFLINE}give the name of one on the Hugging Face Hub, or the path of its folder "
        f"({line.partition(' Check your internet')[0]})"
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python, ran out of memory (torch says so on the CPU in words only)."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )

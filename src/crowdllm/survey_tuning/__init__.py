"""Fine-tune an LLM into survey participants (arXiv 2403.20252): prompts from profiles, LoRA and QLoRA, answers."""

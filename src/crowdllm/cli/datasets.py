"""`crowdllm datasets`: which data sets there are, where they come from, and whether they are at hand."""

from __future__ import annotations


def datasets() -> None:
    """List the data sets: source, licence, counts, options, and whether they are available here."""
    from rich.console import Console
    from rich.text import Text

    from crowdllm.datasets import dataset_cards

    console = Console(soft_wrap=True)
    for card in dataset_cards():
        state = "available" if card.available else "not at hand: downloaded when loaded, or set CROWDLLM_DATA_DIR"
        console.print(Text(card.name, style="bold") + Text(f" - {card.description} ({state})", style="not bold"))
        lines = [
            f"N={card.participants:,} T={card.problems:,} R={card.responses:,}",
            f"source: {card.url}",
            f"licence: {card.licence}; checksums: {card.checksums}",
            *(f"option {name}: {text}" for name, text in card.options.items()),
            *card.notes,
        ]
        lines += [f"recorded LLM answers: {', '.join(card.recorded)}"] if card.recorded else []
        for line in lines:
            console.print(Text(f"    {line}"))

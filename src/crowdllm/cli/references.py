"""`crowdllm references`: ask an LLM for reference decisions, and keep them as a recorded table."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from crowdllm.cli.say import say

if TYPE_CHECKING:
    from crowdllm.elicitation.asking import Tally
    from crowdllm.elicitation.modes import Elicitation, Plan
    from crowdllm.experiments.llm_backends import LLM
    from crowdllm.experiments.sources import Opened
    from crowdllm.llm.protocol import Backend, Usage
    from crowdllm.llm.usage import Price
    from crowdllm.reference import Reference

NOT_GOOD_ENOUGH = 1
SERVER, MONEY, KEPT = "Server (--backend openai)", "Cost (--backend openai)", "Answers that are kept"


def references(
    study: Annotated[str, typer.Argument(help="A study folder, or the name of a data set.")],
    backend: Annotated[
        str,
        typer.Option(
            help="openai (any server of that kind), transformers, tuned, scripted (made-up answers), recorded."
        ),
    ] = "",
    model: Annotated[str, typer.Option(help="The LLM's name; for scripted and recorded a table of answers.")] = "",
    draws: Annotated[Optional[int], typer.Option("-k", "--draws", help="Answers per problem (K).")] = None,  # noqa: UP045
    mode: Annotated[
        str,
        typer.Option(
            help="decision, samples, options, distribution or persona; left out: samples (decision for -k 1)."
        ),
    ] = "",
    temperature: Annotated[Optional[float], typer.Option(help="Sampling temperature; left out: the mode's.")] = None,  # noqa: UP045
    personas: Annotated[Optional[int], typer.Option(help="How many people are invented (mode persona).")] = None,  # noqa: UP045
    seed: Annotated[int, typer.Option(help="Seed of the personas.")] = 0,
    max_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Longest answer in tokens; more for LLMs that think before they answer."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Table NAME.csv to write; left out: in the study's folder `references`."),
    ] = None,
    min_parse_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Exit with status 1 when a smaller share of answers can be read.")
    ] = 0.9,
    show_prompt: Annotated[bool, typer.Option("--show-prompt", help="Print a prompt and stop.")] = False,
    problem: Annotated[Optional[str], typer.Option(help="Which problem's prompt --show-prompt prints.")] = None,  # noqa: UP045
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and ask nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before calls that may cost money.")] = False,
    max_cost: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Stop before more than this is spent.", rich_help_panel=MONEY),
    ] = None,
    price_input: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="What a million input tokens cost.", rich_help_panel=MONEY),
    ] = None,
    price_output: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="What a million output tokens cost.", rich_help_panel=MONEY),
    ] = None,
    base_url: Annotated[
        str, typer.Option(help="Its address, such as http://localhost:11434/v1.", rich_help_panel=SERVER)
    ] = "",
    concurrency: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Calls at the same time.", rich_help_panel=SERVER),
    ] = None,
    requests_per_minute: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="At most so many calls in a minute.", rich_help_panel=SERVER),
    ] = None,
    tokens_per_minute: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="At most so many tokens in a minute.", rich_help_panel=SERVER),
    ] = None,
    timeout: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Seconds that one call may take.", rich_help_panel=SERVER),
    ] = None,
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File in which they are kept.", rich_help_panel=KEPT),
    ] = None,
    export_cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write them to this file, and stop.", rich_help_panel=KEPT),
    ] = None,
    import_cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Take them from this file, and stop.", rich_help_panel=KEPT),
    ] = None,
) -> None:
    """Ask an LLM about every problem of a study, and keep the answers as references. The same command continues."""
    from crowdllm.elicitation.modes import Elicitation
    from crowdllm.errors import ConfigError
    from crowdllm.experiments.llm_backends import LLM, cache_path, move_answers, open_backend
    from crowdllm.experiments.sources import open_study

    opened = open_study(study)
    place = cache or cache_path(opened)
    if export_cache is not None or import_cache is not None:
        say(move_answers(place, export_cache, import_cache))
        return
    llm = LLM(backend, model, base_url, concurrency, requests_per_minute, tokens_per_minute, timeout)
    if backend == "recorded":
        llm.check()
        asked = {"--mode": mode, "-k": draws, "--temperature": temperature, "--personas": personas, "--cache": cache}
        for option in (name for name, value in asked.items() if value not in ("", None)):
            raise ConfigError(
                f"{option} says how an LLM is asked, and the answers in {model} are recorded: leave it out"
            )
        _take_in(opened, llm, out, min_parse_rate)
        return
    wish = Elicitation(
        mode or ("decision" if draws == 1 else "samples"), draws, temperature, personas, seed, max_tokens
    )
    plan = _plan(opened, wish)
    if show_prompt:
        _show_prompt(plan, problem)
        return
    if problem is not None:
        raise ConfigError("--problem goes with --show-prompt: all problems are asked about")
    llm.check()
    price = _price(opened, llm, price_input, price_output, max_cost)
    kept = place if cache or llm.keeps_answers else None
    backend_ = open_backend(llm, plan, price, max_cost)
    run = _Run(opened, plan, llm, backend_, price, kept, min_parse_rate)
    run.announce()
    if not dry_run:
        table = _table(opened, llm, plan.mode.name, out)
        run.require_place(table)
        _confirm(llm, yes or max_cost is not None)
        run.ask(table)


@dataclass(frozen=True)
class _Run:
    """Everything that one asking needs; kept: the file of answers that are kept, None for none."""

    opened: Opened
    plan: Plan
    llm: LLM
    backend: Backend
    price: Price | None
    kept: Path | None
    min_parse_rate: float

    def announce(self) -> None:
        from crowdllm.experiments.asking_plan import plan_lines
        from crowdllm.experiments.llm_backends import left_to_ask

        say(f"{self.opened.study.title}: {self.opened.study.describe()}")
        left = left_to_ask(self.backend, self.plan, self.kept)
        for line in plan_lines(self.plan, left, self.price, self.llm.paid):
            say(line)
        if self.llm.makes_up:
            say("note: these answers are made up, and say nothing about anything")

    def require_place(self, table: Path) -> None:
        from crowdllm.experiments.recording import require_place, settings_of

        require_place(table, settings_of(self.plan, self.backend.identity))

    def ask(self, table: Path) -> None:
        """Ask, write, and say what became of it; status 1 where too little could be read."""
        from crowdllm.cli.asking import asking_progress
        from crowdllm.elicitation.asking import ask
        from crowdllm.elicitation.laying import lay
        from crowdllm.elicitation.modes import require_scores
        from crowdllm.experiments.llm_backends import keeping
        from crowdllm.experiments.recording import SpendingLog, Spent, settings_of, write_recording
        from crowdllm.llm.protocol import Usage

        settings = settings_of(self.plan, self.backend.identity)
        log = SpendingLog(table, settings)
        with keeping(self.backend, self.kept) as backend, asking_progress(lambda t: self._cost(t.usage)) as show:
            require_scores(self.plan, backend)
            used = Usage()

            def watch(tally: Tally) -> None:
                nonlocal used
                used = tally.usage
                log.note(used)
                show(tally)

            try:
                asked = ask(self.plan, backend, watch)
            finally:
                log.note(used, now=True)
            known = getattr(backend, "hits", 0)
        reference = lay(self.plan, asked, table.stem)
        spent = Spent(asked.usage, log.before, self.price, asked.repeated, known)
        account = write_recording(table, self.plan, reference, settings, spent)
        log.close()
        for line in spent.lines():
            say(line)
        _finish(self.opened, reference, table, account, self.min_parse_rate)

    def _cost(self, usage: Usage) -> str:
        return "" if self.price is None else f"{self.price.of(usage):.4f}"


def _confirm(llm: LLM, agreed: bool) -> None:
    """Ask before money may be spent, unless it is limited or the user said --yes."""
    from crowdllm.errors import ConfigError

    if not llm.paid or agreed:
        return
    if not sys.stdin.isatty():
        raise ConfigError("these calls may cost money: say --yes to go ahead, or limit it with --max-cost")
    if not typer.confirm("Ask?", default=False):
        raise typer.Exit(NOT_GOOD_ENOUGH)


def _plan(opened: Opened, wish: Elicitation) -> Plan:
    from crowdllm.elicitation.modes import make_plan
    from crowdllm.llm.prompts import read_templates

    study = opened.study
    templates = read_templates(opened.folder)
    return make_plan(
        study.problems, study.response_type, wish, study.context, study.requirements, study.profiles, templates
    )


def _show_prompt(plan: Plan, problem: str | None) -> None:
    """One prompt as it would be sent, control characters escaped."""
    from crowdllm.errors import ConfigError, UnknownNameError

    prompts = {prompt.problem_id: prompt for prompt, _ in reversed(list(plan.wanted))}
    if not prompts:
        raise ConfigError("the study has no problems, so there is no prompt")
    identity = str(plan.problems.ids[0]) if problem is None else problem
    if identity not in prompts:
        raise UnknownNameError("problem", identity, list(prompts)[:20])
    say(prompts[identity].text)


def _price(
    opened: Opened, llm: LLM, price_input: float | None, price_output: float | None, max_cost: float | None
) -> Price | None:
    """The price in the options, else that in study.toml, else None. Raises ConfigError for half a price."""
    from crowdllm.data.study_toml import STUDY_FILE, read_study_toml
    from crowdllm.errors import ConfigError
    from crowdllm.llm.usage import Price

    given = [price_input, price_output, max_cost]
    if any(value is not None for value in given) and not llm.paid:
        raise ConfigError(f"prices and --max-cost go with --backend openai; {llm.backend!r} costs nothing")
    if any(value is not None and not 0 <= value < float("inf") for value in given):
        raise ConfigError("prices and --max-cost must be numbers of at least 0")
    if price_input is not None and price_output is not None:
        return Price(price_input, price_output)
    if price_input is not None or price_output is not None:
        raise ConfigError("--price-input and --price-output go together: give both")
    settings = read_study_toml(opened.folder / STUDY_FILE)[0] if opened.folder is not None else None
    known = (settings.prices if settings is not None else None) or {}
    if llm.model in known:
        return Price(*known[llm.model])
    if max_cost is not None:
        raise ConfigError(
            f"--max-cost needs the price of {llm.model!r}: give --price-input and --price-output, or a table "
            f"[prices.{llm.model}] in {STUDY_FILE}"
        )
    return None


def _table(opened: Opened, llm: LLM, mode: str, out: Path | None) -> Path:
    """Where the table goes; raises ConfigError for a name that --references could not say."""
    from crowdllm.errors import ConfigError
    from crowdllm.experiments.llm_backends import slug
    from crowdllm.experiments.sources import REFERENCE_FOLDER, name_fault

    if out is None and opened.folder is None:
        raise ConfigError(f"{opened.name} is a data set and has no folder: say where to write with --out NAME.csv")
    if out is None:
        assert opened.folder is not None
        return opened.folder / REFERENCE_FOLDER / f"{slug(llm.model or llm.backend)}-{mode}.csv"
    if fault := name_fault(out.stem):
        raise ConfigError(f"--out {out}: {fault}")
    return out


def _take_in(opened: Opened, llm: LLM, out: Path | None, min_parse_rate: float) -> None:
    """Check a recorded table, and keep it as one of the study's references."""
    from crowdllm.elicitation.recorded import recorded_plan, recorded_reference
    from crowdllm.experiments.llm_backends import content_hash
    from crowdllm.experiments.recording import Spent, require_place, settings_of, write_recording
    from crowdllm.llm.protocol import Usage
    from crowdllm.llm.recorded import RecordedBackend

    study = opened.study
    backend = RecordedBackend.read(llm.model)
    plan = recorded_plan(backend, study.problems, study.response_type)
    reference = recorded_reference(backend, study.problems, study.response_type)
    settings = settings_of(plan, f"{backend.identity}@{content_hash(llm.model)}") | {"mode": reference.mode}
    table = _table(opened, llm, reference.mode, out)
    reference = replace(reference, name=table.stem)
    require_place(table, settings)
    account = write_recording(table, plan, reference, settings, Spent(Usage()))
    _finish(opened, reference, table, account, min_parse_rate)


def _finish(opened: Opened, reference: Reference, table: Path, account: Path, min_parse_rate: float) -> None:
    from crowdllm.reference import References

    for note in filter(None, reference.note.split("; ")):
        say(f"note: {note}")
    say(f"references: {References((reference,)).report()[0]}")
    say(f"wrote {table}\nwrote {account}")
    read = reference.parse_rate if reference.asked else 0.0
    if read < min_parse_rate or not reference.asked:
        say(
            f"ATTENTION: only {read:.1%} of {reference.asked:,} answers could be read, and {min_parse_rate:.0%} are "
            f"wanted. What was said instead is in {account} under 'unread'; everything is kept."
        )
        raise typer.Exit(NOT_GOOD_ENOUGH)
    if reference.failed:
        say(f"{reference.failed:,} answers failed; the same command asks for these alone once more")
    name = reference.name if opened.folder is not None and table.parent.parent == opened.folder else table
    say(f"next: crowdllm fit {opened.folder or opened.name} --references {name} --out MODEL")

"""Tell whether options have an order, from low to high, by their words; and which of them say "no answer".

Surveys do not say whether a list of options is a scale. Three signs are taken for it: all options are numbers, or begin
with a number; they are ranges whose numbers rise (18-24, 25-34, ...); or they are words of one well-known scale, each
of another strength. The order is turned round where the strongest comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

NO_ANSWER = re.compile(
    r"(?:i )?(?:do not|don['’]?t|dont) know\b.*|dk|no opinion|not sure|unsure|can['’]?t (?:say|choose)"
    r"|cannot (?:say|choose)"
    r"|(?:i )?(?:prefer|would prefer|rather) not (?:to )?(?:say|answer|disclose).*|refused?(?: to answer)?"
    r"|no answer|n/?a"
    r"|not applicable|does not apply|skipped?|(?:i )?(?:decline|refuse) to (?:say|answer)|no response|not answered"
    r"|weiß nicht|keine angabe|k\.? ?a\.?|keine antwort|ne sait pas|no s[eé]|missing|inapplicable|not asked.*"
    r"|valid skip",
    re.IGNORECASE,
)

_NEUTRAL = r"neither(?: .*)?|neutral|undecided|no preference|middle|mixed|in between|unentschieden|teils.?teils"
r"|weder.*"
FAMILIES: tuple[tuple[str, ...], ...] = (  # from low to high; each entry is a pattern for a whole option
    (
        r"(?:strongly|totally|completely|fully|very strongly) disagree|disagree (?:strongly|completely|totally)"
        r"|stimme "
        r"(?:überhaupt|gar) nicht zu|trifft (?:überhaupt|gar) nicht zu",
        r"mostly disagree|moderately disagree",
        r"disagree|stimme nicht zu|trifft nicht zu",
        r"(?:somewhat|slightly|rather|tend to) disagree|disagree (?:somewhat|slightly|a little)|(?:stimme"
        r"|trifft) eher nicht zu",
        rf"{_NEUTRAL}|neither agree nor disagree",
        r"(?:somewhat|slightly|rather|tend to) agree|agree (?:somewhat|slightly|a little)|(?:stimme|trifft) eher zu",
        r"agree|stimme zu|trifft zu",
        r"mostly agree|moderately agree",
        r"(?:strongly|totally|completely|fully|very strongly) agree|agree (?:strongly|completely|totally)"
        r"|stimme (?:voll"
        r"|vollständig|völlig)(?: und ganz)? zu|trifft (?:voll|vollständig|völlig)(?: und ganz)? zu",
    ),
    (
        r"never|not at all|nie(?:mals)?",
        r"almost never|hardly ever|very rarely|fast nie",
        r"rarely|seldom|once in a while|less than once a (?:year|month|week)|selten",
        r"a few times a year|once a year|yearly",
        r"once a month|monthly",
        r"occasionally",
        r"sometimes|about half the time|half (?:of )?the time|manchmal",
        r"once a week|weekly|a few times a month",
        r"often|frequently|fairly often|several times a week|a few times a week|oft|häufig",
        r"most of the time|usually|very often|very frequently|meistens|sehr oft|nearly every day",
        r"almost always|daily|once a day|every day|fast immer|täglich",
        r"always|all (?:of )?the time|several times a day|immer",
    ),
    (
        r"(?:very|extremely|completely|highly) dissatisfied|sehr unzufrieden",
        r"dissatisfied|unsatisfied|unzufrieden",
        r"(?:somewhat|slightly|rather|fairly) dissatisfied|eher unzufrieden",
        rf"{_NEUTRAL}",
        r"(?:somewhat|slightly|rather|fairly) satisfied|eher zufrieden",
        r"satisfied|zufrieden",
        r"(?:very|extremely|completely|highly) satisfied|sehr zufrieden",
    ),
    (
        r"(?:very|extremely|highly|most) unlikely|definitely (?:will |would )?not|definitely no",
        r"unlikely|probably (?:will |would )?not|probably no",
        r"(?:somewhat|slightly|rather|moderately) unlikely",
        rf"{_NEUTRAL}|might or might not|may(?:be)?(?: or may not)?|possibly|perhaps|even chance",
        r"(?:somewhat|slightly|rather|moderately) likely",
        r"likely|probably(?: (?:will|would|yes))?|quite likely",
        r"(?:very|highly) likely|definitely(?: (?:will|would|yes))?",
        r"extremely likely|most likely|certain(?:ly)?",
    ),
    (
        r"not (?:at all )?important(?: at all)?|unimportant|not at all",
        r"(?:slightly|a little|not very|hardly|of little) importan(?:t|ce)|a little(?: bit)?|slightly"
        r"|not (?:very )?much",
        r"(?:somewhat|moderately|fairly|rather) important|somewhat|moderately|a moderate amount|to some extent",
        r"important|quite a bit|quite|fairly|rather",
        r"very important|very(?: much)?|a lot|considerably|mostly|to a large extent",
        r"(?:extremely|essential|absolutely|most) ?(?:important)?|a great deal|extremely|completely|totally|entirely",
    ),
    (
        r"terrible|awful|extremely bad|worst",
        r"very (?:poor|bad)|sehr schlecht",
        r"poor|bad|schlecht",
        r"(?:somewhat|rather|below average) ?(?:poor|bad)?",
        rf"fair|average|acceptable|okay|ok|so-so|{_NEUTRAL}",
        r"(?:somewhat|rather|fairly|above average) ?(?:good)?",
        r"good|gut",
        r"very good|sehr gut",
        r"excellent|outstanding|extremely good|best",
    ),
    (
        r"(?:strongly|very) (?:oppose|against|unfavorable|unfavourable|negative|liberal|left|dislike)"
        r"|dislike a (?:lot|great deal)",
        r"oppose|against|unfavorable|unfavourable|negative|liberal|left|dislike",
        r"(?:somewhat|slightly|rather|moderately) (?:oppose|against|unfavorable|unfavourable|negative|liberal"
        r"|left|dislike)"
        r"|dislike a little",
        rf"{_NEUTRAL}|moderate|cent(?:er|re)|neither like nor dislike",
        r"(?:somewhat|slightly|rather|moderately) (?:support|favou?r|favou?rable|positive|conservative|right"
        r"|like)|like a little",
        r"support|in favou?r|favou?r|favou?rable|positive|conservative|right|like",
        r"(?:strongly|very) (?:support|favou?r|in favou?r|favou?rable|positive|conservative|right)"
        r"|like a (?:lot|great deal)",
    ),
    (r"none|nothing", r"(?:very )?little|a little|a few", r"some|a moderate amount", r"a lot|much|many"
    r"|most", r"a great deal|all"),
    (r"very low", r"low", r"medium|moderate|average", r"high", r"very high"),
    (r"much (?:worse|less|lower)", r"(?:somewhat |a little |slightly )?(?:worse|less|lower)", r"(?:about )?the"
    r" same|no change|same",
     r"(?:somewhat |a little |slightly )?(?:better|more|higher)", r"much (?:better|more|higher)"),
    (r"(?:no|less than|some|did not (?:finish|complete)) (?:high school|schooling|formal education|secondary).*"
    r"|none|primary.*|elementary.*",
     r"high school.*|secondary.*|ged", r"some (?:college|university).*|vocational.*|trade.*|technical.*",
     r"associate.*|2.year.*", r"(?:bachelor|college degree|undergraduate|4.year|university degree).*"
     r"|college graduate|graduated? college",
     r"master.*|postgraduate.*|post-?grad.*|graduate degree.*|advanced degree.*",
     r"professional degree.*", r"(?:doctor|ph\.?d).*"),
)  # fmt: skip
_FAMILIES = tuple(tuple(re.compile(entry, re.IGNORECASE) for entry in family) for family in FAMILIES)
_FIRST_NUMBER = re.compile(r"[-+−]?\s?[$€£]?\s?([0-9]+(?:[,' ][0-9]{3})*(?:\.[0-9]+)?)")
_BELOW = re.compile(r"(?:less|under|below|up|fewer|younger|lower|<|bis|unter)\b.*|<.*", re.IGNORECASE)
MOST = 101


def says_no_answer(option: str) -> bool:
    """Whether an option stands for "don't know", "prefer not to say" and the like."""
    return NO_ANSWER.fullmatch(_core(option)) is not None


def low_to_high(options: Sequence[str]) -> tuple[str, ...] | None:
    """The options from low to high, without those that say "no answer"; None where no order can be told."""
    if len(options) > MOST:
        return None
    rest = [option for option in options if not says_no_answer(option)]
    if len(rest) < 2:
        return None
    for strength in (_numbers(rest), _leading_numbers(rest), _family(rest)):
        if strength is not None and all(a < b for a, b in pairwise(strength)):
            return tuple(rest)
        if strength is not None and all(a > b for a, b in pairwise(strength)):
            return tuple(reversed(rest))
    return None


def _core(option: str) -> str:
    """The words of an option, without a number before or brackets behind."""
    text = option.strip()[:200]
    text = re.sub(r"^[-+]?[0-9]+\s*[-=:.)–—]?\s*(?=\D)", "", text)
    return re.sub(r"\s*\([^()]*\)\s*$", "", text).strip(" .!")


def _numbers(options: Sequence[str]) -> list[float] | None:
    """All are numbers."""
    try:
        return [float(option.replace("−", "-")) for option in options if not option.isspace()]
    except ValueError:
        return None


def _leading_numbers(options: Sequence[str]) -> list[float] | None:
    """Each has a number: 18-24, $10,000 to $19,999, or 7 - Completely; "under 18" comes before "18-24"."""
    out = []
    for option in options:
        found = _FIRST_NUMBER.search(option[:200])
        if not found or (len(option) > 60 and found.start() > 20):
            return None
        number = float(re.sub("[,' ]", "", found.group(1)))
        negative = option.strip()[:1] in "-−" and found.start() == 0
        out.append((-number if negative else number) - (0.5 if _BELOW.match(option.strip()) else 0.0))
    return out


def _family(options: Sequence[str]) -> list[float] | None:
    """All are words of one scale."""
    for family in _FAMILIES:
        strength = [next((i for i, p in enumerate(family) if p.fullmatch(_core(o))), None) for o in options]
        if None not in strength:
            return [float(i) for i in strength if i is not None]
    return None


def by_strength(options: Sequence[str]) -> tuple[str, ...] | None:
    """Options in any order, sorted from low to high by their words, without those that say "no answer"; else None."""
    rest = [option for option in options if not says_no_answer(option)]
    if not 2 <= len(rest) <= MOST:
        return None
    for strength in (_numbers(rest), _leading_numbers(rest), _family(rest)):
        if strength is not None and len(set(strength)) == len(rest):
            return tuple(option for _, option in sorted(zip(strength, rest, strict=True)))
    return None

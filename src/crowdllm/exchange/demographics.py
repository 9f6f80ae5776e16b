"""Tell by name and wording which columns describe people (age, gender, ...), hold weights, or are the tool's own."""

from __future__ import annotations

import re

_WORDS = (
    r"age|ages|agegroup|age_?cat|yob|birth_?year|year_?of_?birth|gender|sex|educ|education|edu|degree|schooling"
    r"|income|inc"
    r"|hh_?income|salary|region|state|country|nation|nationality|citizenship|county|province|urban|urbanicity|rural"
    r"|employ|employment|employed|occupation|job|profession|industry|work_?status|marital|married"
    r"|relationship_?status"
    r"|ethnicity|ethnic|race|hispanic|religion|relig|denomination|party|partyid|party_?id|pid[37]|ideology|ideo[57]"
    r"|political_?(?:views?|orientation|affiliation|party)|household|household_?size|hh_?size|children|kids|language"
    r"|native_?language|student|student_?status|class|social_?class|generation|cohort|area|location_?type|department"
    r"|team|role|tenure|seniority|segment|customer_?type|alter|geschlecht|bildung|einkommen|bundesland|beruf"
    r"|nationalität|familienstand|konfession"
)
PROFILE_NAME = re.compile(
    rf"(?:demo(?:g|graphics?)?[_ .-]*)?(?:what is your |your )?(?:{_WORDS})(?:[_ .-]?[0-9]{{1,2}})?\??", re.I
)
PROFILE_TEXT = re.compile(
    r"how old are you|what(?:['’]s| is| was)? (?:your )?(?:current )?(?:age|gender|sex|race|ethnic\w*"
    r"|religio\w*|marital"
    r"|occupation|nationality|employment|education|job|mother tongue|native language|household|annual|total|yearly"
    r"|political (?:party|orientation|affiliation|views?))\b|year (?:were|of) (?:you )?b(?:orn|irth)|(?:highest"
    r"|level of)"
    r".{0,30}(?:education|degree|school|qualification)|(?:household|annual|monthly|personal|yearly) income|which "
    r"(?:gender|country|state|region|ethnic|race|religio|age|political party)"
    r"|are you (?:currently )?(?:employed|married"
    r"|male|female|a student|a (?:man|woman))|do you (?:identify|live)|where do you live|your (?:gender|age"
    r"|sex)\b|how many "
    r"(?:people live|children)|how would you describe your(?:self| gender| race| political)|country of (?:birth"
    r"|residence)"
    r"|wie alt sind sie|ihr (?:geschlecht|alter)",
    re.I,
)
WEIGHT_NAME = re.compile(
    r"(?:survey|sample|sampling|design|post_?strat\w*|final|common|person|pop\w*|case|raking?|rim|norm\w*)?[_ .-]*"
    r"(?:weights?|wgts?|wts?|weighting|gewicht|gew)(?:[_ .-]?(?:var|final|trim\w*|norm\w*|all|total|full|pre"
    r"|post|[0-9]{1,4}))?"
    r"|w[_ .-]?(?:survey|final)|pspwght|pweight|dweight|anweight|aweight|fweight|wtss\w{0,8}|wgt[_.-]?\w{1,8}"
    r"|commonweight"
    r"(?:_post)?|weight_\w{1,12}|wt_\w{1,12}|(?:v|d)005|perweight|hhwt|perwt",
    re.I,
)
WEIGHT_TEXT = re.compile(
    r"\b(?:survey|sampling|sample|design|post-?stratification|final|person|respondent|population|analysis|calibrated)"
    r"(?: \w+)? weights?\b|\bweight(?:ing)? (?:variable|factor)\b",
    re.I,
)
NOT_WEIGHT = re.compile(r"body|kg\b|pounds|lbs|loss|(?:your|current) weight|how much do you weigh", re.I)
TOOL_NAME = re.compile(
    r"(?:start|end|recorded|submit|submission|last_?action|created|updated|completed?)[_ ]?(?:date|time|d"
    r"|at)?(?:[_ ]?stamp)?"
    r"|date|time|timestamp|status|progress|finished|duration.*|.*\(in seconds\)|distribution_?channel|user_?language"
    r"|start_?language|language_?code|last_?page|browser.*|operating_?system|resolution|.*_?(?:first|last"
    r"|page)[_ ]click"
    r"|.*click[_ ]?count|.*page[_ ]submit|seed|interview_?time|deviceid|version|_(?:index|parent_\w+|submission_time"
    r"|validation_status|notes|tags|status|id|version_?)|group_?time.*|lang|row|index|unnamed.*|q_\w+|term|gc|opp",
    re.I,
)


def describes_people(name: str, text: str = "") -> bool:
    """Whether a column or question asks who people are."""
    tail = re.split(r"[./:\\]", name.strip())[-1]
    return PROFILE_NAME.fullmatch(tail[:80].strip()) is not None or PROFILE_TEXT.search(text[:300]) is not None


def is_weight(name: str, text: str = "") -> bool:
    """Whether a column's name is one that survey weights have."""
    if NOT_WEIGHT.search(name[:80]) or NOT_WEIGHT.search(text[:200]):
        return False
    if WEIGHT_TEXT.search(text[:200]):
        return True
    return WEIGHT_NAME.fullmatch(name.strip()[:80]) is not None


def is_tools_own(name: str) -> bool:
    """Whether a column holds what a survey tool writes down by itself, such as times and progress."""
    return TOOL_NAME.fullmatch(name.strip()[:80]) is not None

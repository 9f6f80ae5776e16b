"""Write the example study of `crowdllm demo`: 40 statements about city life, answered by simulated people.

    python script/make_demo_study.py [folder]        (default: src/crowdllm/demo_study)

Everything here is the project's own: the statements were written for it, the "people" are simulated, and the
true answer distribution of the whole population is therefore known (`truth.csv`). No human answered anything.

The recorded references are a stand-in for a recorded LLM. A language model, the author of this script, typed
for each statement eight decisions 1..5 and a guess, in percent, of how a crowd would answer. They were typed
in one pass, before the simulation below was written and without seeing its numbers. The eight decisions are
therefore not independent draws from a model: they only have the look of such draws. The guesses agree with
the truth as far as two sketches of the same topics by one author do, which is no evidence of what an LLM does
on real data.

The truth is an ordinal probit: utility = location + profile effects of the topic + shared attitudes + noise
of the single answer, cut into five levels.

Shapes: N people, T statements, A attitudes, C profile columns, M levels.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from crowdllm.rng import generator

Array = NDArray[np.float64]

SEED = 20261121
PARTICIPANTS = 300
FEWEST, MOST = 8, 16  # statements answered by one person; 12 on average
TRUTH_PEOPLE = 200_000

# problem -> (topic, text)
STATEMENTS: dict[str, tuple[str, str]] = {
    "bus_lanes": (
        "transport",
        "Every main road should have a lane for buses only, even if cars then wait longer.",
    ),
    "car_free_saturday": ("transport", "Private cars should be kept out of the city centre on Saturdays."),
    "night_buses": ("transport", "Buses should run all night, at least once an hour."),
    "helmet_law": ("transport", "Cyclists should have to wear a helmet by law."),
    "parking_fee": (
        "transport",
        "Residents should pay more than they do now to park their car in the street.",
    ),
    "park_in_reach": ("parks", "Everybody should be able to walk to a park within ten minutes."),
    "dogs_on_lead": ("parks", "Dogs should be kept on a lead everywhere in public parks."),
    "park_lights": ("parks", "Park paths should be lit all night, although the light disturbs animals."),
    "barbecues": ("parks", "Barbecues should be allowed in public parks."),
    "quiet_sunday": ("noise", "Lawn mowers and drills should stay silent on Sundays."),
    "midnight_concerts": ("noise", "Open-air concerts should be allowed to last until midnight in summer."),
    "leaf_blowers": ("noise", "Petrol leaf blowers should be banned from residential streets."),
    "yearly_party": ("noise", "A loud party next door once a year is no reason to complain."),
    "sunday_shops": ("shops", "Supermarkets should be free to open on Sundays."),
    "accept_cash": ("shops", "Every shop should have to accept cash."),
    "self_checkout": ("shops", "I would rather pay at a self-checkout than at a staffed till."),
    "small_shops": ("shops", "The city should help small independent shops to survive against the chains."),
    "late_shop": ("shops", "I want a shop that is open until ten in the evening within walking distance."),
    "tall_blocks": ("housing", "Blocks of flats with ten storeys or more would suit my neighbourhood."),
    "rent_limit": ("housing", "The city should set an upper limit on rents."),
    "tourist_lets": ("housing", "Flats should be let to tourists for no more than a few weeks a year."),
    "build_on_fields": (
        "housing",
        "While homes are scarce, new ones should be built on the fields around the city.",
    ),
    "garden_for_centre": ("housing", "I would give up a private garden to live closer to the centre."),
    "online_only": ("technology", "Forms for the city office should be available online only."),
    "chatbot_clerk": (
        "technology",
        "A chatbot can answer most questions to the city office as well as a clerk.",
    ),
    "station_cameras": ("technology", "More security cameras at stations would make me feel safer."),
    "face_recognition": (
        "technology",
        "The police should be allowed to use face recognition in public places.",
    ),
    "city_app": (
        "technology",
        "I would use a city app that announces road works, waste collection and events.",
    ),
    "solar_roofs": ("energy", "Every suitable roof of a public building should carry solar panels."),
    "wind_in_sight": ("energy", "I would accept wind turbines within sight of my home."),
    "cool_offices": ("energy", "Public buildings should be heated to no more than 19 degrees in winter."),
    "dim_lights": ("energy", "Street lights should be dimmed after midnight to save electricity."),
    "green_surcharge": (
        "energy",
        "I would pay a tenth more for electricity that comes only from renewable sources.",
    ),
    "meatless_days": ("food", "School canteens should serve no meat on two days a week."),
    "market_street": ("food", "A weekly farmers' market is worth closing a street for."),
    "delivered_meals": ("food", "Having meals delivered to the door is a good use of money."),
    "free_tap_water": ("food", "Cafes should have to offer free tap water."),
    "home_office": (
        "work",
        "Whoever can work from home should be allowed to do so at least two days a week.",
    ),
    "four_day_week": ("work", "A four-day week at the same pay would be good for the city."),
    "evening_messages": ("work", "Answering work messages in the evening is part of doing a job well."),
}

# problem -> (the decisions k1..k8, percent of a crowd expected at 1..5); see the header for what these are
REFERENCES: dict[str, tuple[str, tuple[int, int, int, int, int]]] = {
    "bus_lanes": ("44344345", (12, 20, 20, 31, 17)),
    "car_free_saturday": ("43444543", (17, 19, 18, 26, 20)),
    "night_buses": ("44454434", (5, 13, 24, 37, 21)),
    "helmet_law": ("43445443", (14, 17, 17, 27, 25)),
    "parking_fee": ("22321223", (33, 29, 17, 15, 6)),
    "park_in_reach": ("54554555", (1, 3, 9, 38, 49)),
    "dogs_on_lead": ("44344244", (9, 19, 17, 28, 27)),
    "park_lights": ("32334323", (15, 29, 24, 22, 10)),
    "barbecues": ("34332433", (15, 22, 23, 28, 12)),
    "quiet_sunday": ("44434544", (10, 17, 16, 28, 29)),
    "midnight_concerts": ("44344434", (9, 17, 19, 34, 21)),
    "leaf_blowers": ("44345443", (10, 19, 23, 26, 22)),
    "yearly_party": ("44445444", (4, 10, 15, 41, 30)),
    "sunday_shops": ("43443454", (15, 18, 15, 28, 24)),
    "accept_cash": ("45445445", (4, 10, 14, 31, 41)),
    "self_checkout": ("33233433", (21, 23, 23, 21, 12)),
    "small_shops": ("44454444", (3, 8, 21, 43, 25)),
    "late_shop": ("44344344", (8, 18, 22, 33, 19)),
    "tall_blocks": ("22122321", (38, 30, 17, 11, 4)),
    "rent_limit": ("44454434", (8, 13, 17, 31, 31)),
    "tourist_lets": ("44344445", (7, 14, 22, 32, 25)),
    "build_on_fields": ("32333243", (19, 28, 22, 23, 8)),
    "garden_for_centre": ("22232212", (31, 29, 16, 16, 8)),
    "online_only": ("21222213", (38, 29, 13, 13, 7)),
    "chatbot_clerk": ("22232223", (28, 32, 20, 15, 5)),
    "station_cameras": ("44434454", (6, 13, 20, 39, 22)),
    "face_recognition": ("32332343", (23, 22, 19, 24, 12)),
    "city_app": ("44454443", (7, 12, 19, 41, 21)),
    "solar_roofs": ("54554545", (2, 5, 11, 37, 45)),
    "wind_in_sight": ("43443442", (14, 18, 20, 32, 16)),
    "cool_offices": ("33234334", (13, 25, 23, 28, 11)),
    "dim_lights": ("44344454", (9, 18, 19, 35, 19)),
    "green_surcharge": ("32333423", (20, 24, 22, 25, 9)),
    "meatless_days": ("33434234", (22, 18, 19, 24, 17)),
    "market_street": ("45444454", (3, 7, 16, 43, 31)),
    "delivered_meals": ("23223232", (19, 31, 28, 17, 5)),
    "free_tap_water": ("54555445", (3, 6, 13, 34, 44)),
    "home_office": ("44544544", (4, 8, 16, 35, 37)),
    "four_day_week": ("44344543", (12, 17, 21, 27, 23)),
    "evening_messages": ("22122212", (35, 34, 18, 10, 3)),
}

# problem -> (location, spread, green, calm, novel, direction): how readily the whole population agrees; the
# standard deviation of a single answer; how much each shared attitude moves it; its side in TOPIC_EFFECTS
ATTRIBUTES: dict[str, tuple[float, float, float, float, float, float]] = {
    "bus_lanes": (0.2, 1.0, 0.5, 0.1, 0.0, 1.0),
    "car_free_saturday": (-0.1, 1.1, 0.7, 0.2, 0.0, 1.0),
    "night_buses": (0.7, 0.9, 0.2, -0.3, 0.1, 0.6),
    "helmet_law": (0.4, 1.2, -0.2, 0.5, 0.0, -0.5),
    "parking_fee": (-1.1, 1.0, 0.6, 0.0, 0.0, 0.9),
    "park_in_reach": (1.5, 0.9, 0.4, 0.1, 0.0, 0.4),
    "dogs_on_lead": (0.4, 1.2, 0.0, 0.6, 0.0, 1.0),
    "park_lights": (-0.1, 1.0, -0.5, 0.2, 0.1, 0.6),
    "barbecues": (0.1, 1.0, -0.2, -0.6, 0.1, -1.0),
    "quiet_sunday": (0.5, 1.1, 0.1, 0.7, -0.2, 1.0),
    "midnight_concerts": (0.3, 1.0, 0.0, -0.7, 0.2, -1.0),
    "leaf_blowers": (0.5, 1.1, 0.5, 0.4, 0.0, 0.5),
    "yearly_party": (0.9, 0.9, 0.0, -0.6, 0.0, -0.8),
    "sunday_shops": (0.4, 1.3, -0.1, -0.5, 0.3, 1.0),
    "accept_cash": (0.9, 1.0, 0.0, 0.2, -0.5, -1.0),
    "self_checkout": (-0.3, 1.1, 0.0, 0.0, 0.6, 1.0),
    "small_shops": (0.9, 0.8, 0.3, 0.1, -0.1, -0.2),
    "late_shop": (0.5, 1.0, -0.1, -0.3, 0.2, 1.0),
    "tall_blocks": (-1.1, 1.0, 0.2, -0.4, 0.3, 1.0),
    "rent_limit": (0.6, 1.1, 0.3, 0.0, 0.0, 0.9),
    "tourist_lets": (0.5, 1.0, 0.2, 0.4, -0.1, 0.4),
    "build_on_fields": (-0.4, 1.1, -0.6, -0.2, 0.1, 0.3),
    "garden_for_centre": (-0.9, 1.1, 0.1, -0.4, 0.1, 1.2),
    "online_only": (-1.0, 1.0, 0.1, 0.0, 0.7, 1.2),
    "chatbot_clerk": (-0.8, 0.9, 0.0, -0.1, 0.7, 0.8),
    "station_cameras": (0.6, 1.0, -0.2, 0.5, 0.2, -0.3),
    "face_recognition": (0.0, 1.2, -0.3, 0.6, 0.4, -0.4),
    "city_app": (0.5, 0.9, 0.0, 0.0, 0.6, 1.0),
    "solar_roofs": (1.3, 0.9, 0.6, 0.0, 0.2, 0.5),
    "wind_in_sight": (0.1, 1.1, 0.7, -0.2, 0.2, 1.0),
    "cool_offices": (-0.1, 1.0, 0.5, 0.0, 0.0, 0.6),
    "dim_lights": (0.3, 1.0, 0.5, -0.1, 0.0, -0.2),
    "green_surcharge": (-0.4, 1.1, 0.8, 0.0, 0.1, 1.2),
    "meatless_days": (-0.1, 1.2, 0.7, 0.0, 0.1, 1.2),
    "market_street": (0.9, 0.8, 0.4, -0.1, 0.0, 0.4),
    "delivered_meals": (-0.5, 1.0, -0.3, -0.1, 0.5, 0.8),
    "free_tap_water": (1.2, 0.9, 0.3, 0.0, 0.0, 0.4),
    "home_office": (1.0, 1.0, 0.1, 0.0, 0.3, 1.0),
    "four_day_week": (0.3, 1.1, 0.3, -0.1, 0.3, 1.0),
    "evening_messages": (-0.9, 1.0, -0.2, 0.0, 0.1, -0.7),
}
# One standard normal number each per person, shared by all the person's answers.
ATTITUDES = ("green", "calm", "novel")
LOCATION_NOISE, SPREAD_NOISE = 0.4, 0.15  # what the attributes do not tell about a problem
CUTS = np.array([-1.4, -0.4, 0.4, 1.4])  # an answer is 1 plus the number of these that its utility exceeds

LEVELS: dict[str, tuple[str, ...]] = {
    "district": ("centre", "suburb", "countryside"),
    "household": ("alone", "couple", "family with children", "shared flat"),
    "education": (
        "compulsory school",
        "vocational training",
        "bachelor's degree",
        "master's degree or above",
    ),
}
# Profile column -> share of its cells left empty, at random.
MISSING = {"age": 0.03, "district": 0.01, "household": 0.02, "education": 0.04}

# topic -> effect of ten years of age, living in the centre, in the countryside, a family with children, a
# shared flat, and one level of education, on agreement with a statement of direction +1
TOPIC_EFFECTS: dict[str, tuple[float, float, float, float, float, float]] = {
    "transport": (-0.08, 0.40, -0.50, -0.15, 0.20, 0.10),
    "parks": (0.12, -0.10, -0.10, 0.25, -0.20, 0.00),
    "noise": (0.18, -0.25, 0.15, 0.10, -0.30, 0.00),
    "shops": (-0.16, 0.20, -0.15, 0.05, 0.20, 0.03),
    "housing": (-0.08, 0.35, -0.35, -0.25, 0.35, 0.05),
    "technology": (-0.20, 0.05, -0.10, 0.05, 0.10, 0.12),
    "energy": (-0.05, 0.15, -0.25, 0.00, 0.10, 0.15),
    "food": (-0.12, 0.25, -0.35, -0.10, 0.20, 0.12),
    "work": (-0.14, 0.05, -0.15, 0.30, 0.10, 0.10),
}

STUDY_TOML = f"""\
# The example study of `crowdllm demo`. THE PEOPLE IN IT ARE SIMULATED: no human answered anything.
# Written by script/make_demo_study.py, which says how; change it there, not here.
#
# problems.csv      {len(STATEMENTS)} statements about city life in nine topics, written for this study
# participants.csv  {PARTICIPANTS} simulated people; empty cells are missing values
# responses.csv     their simulated answers, {FEWEST} to {MOST} each
# references.csv    stand-in for a recorded LLM: decisions k1..k8, and percents p1..p5 it expects of a crowd
# truth.csv         the true shares p1..p5 (adding up to 1) of the whole simulated population

title = "Living in the city (simulated example)"
context = "A survey of the residents of a city and the countryside around it, about everyday life there."
requirements = "How much do you agree with this statement?"
simulated = true
source = [
  "Simulated people and answers, written by script/make_demo_study.py; no human answered anything.",
  "The statements were written for this project and are not taken from any questionnaire.",
  "references.csv: typed in one pass by a language model, the author of the script; not independent draws.",
  "Licence: Apache-2.0, as the project.",
]

[response]
type = "ordinal"
levels = ["1", "2", "3", "4", "5"]
ends = ["strongly disagree", "strongly agree"]

[profile.age]
kind = "numeric"
label = "age in years"

[profile.district]
kind = "categorical"
levels = {json.dumps(LEVELS["district"])}
label = "where they live"

[profile.household]
kind = "categorical"
levels = {json.dumps(LEVELS["household"])}
label = "household"

[profile.education]
kind = "ordinal"
levels = {json.dumps(LEVELS["education"])}
label = "highest education"
"""


@dataclass(frozen=True)
class People:
    """N simulated people: age in years, positions in LEVELS, and their attitudes, shape (N, 3)."""

    age_N: Array
    district_N: NDArray[np.int64]
    household_N: NDArray[np.int64]
    education_N: NDArray[np.int64]
    attitude_NA: Array

    def __len__(self) -> int:
        return len(self.age_N)


# Randomness comes from `Generator.random` alone: between versions NumPy may change how it draws normals,
# choices and permutations, and the files must not change with it.


def draw_normal(rng: np.random.Generator, *shape: int) -> Array:
    """Standard normal numbers, by the inverse distribution function."""
    return ndtri(rng.random(shape))


def draw_category(rng: np.random.Generator, logits_NM: Array) -> NDArray[np.int64]:
    """(N,) one category each, with probabilities softmax(logits)."""
    weights = np.exp(logits_NM)
    cumulative = np.cumsum(weights, axis=1)
    return (rng.random((len(logits_NM), 1)) * cumulative[:, -1:] > cumulative[:, :-1]).sum(axis=1)


def draw_people(n: int, rng: np.random.Generator) -> People:
    """n people of the population: the young rather in the centre and in shared flats, families in between."""
    age = np.floor(np.interp(rng.random(n), [0, 0.12, 0.3, 0.5, 0.7, 0.9, 1], [18, 26, 36, 48, 60, 75, 93]))
    older = age - 45
    district = draw_category(rng, np.stack([0.2 - 0.03 * older, np.full(n, 0.5), 0.008 * older], axis=1))
    centre, country = district == 0, district == 2
    alone = 0.01 * older + 0.3 * centre
    couple = 0.1 + 0.015 * older
    family = 0.7 - 0.5 * ((age - 41) / 11) ** 2 - 0.3 * centre
    shared = 0.75 - 0.09 * older - 1.5 + 0.6 * centre
    household = draw_category(rng, np.stack([alone, couple, family, shared], axis=1))
    schooling = 0.2 - 0.012 * older - 0.15 * np.maximum(0, 26 - age) + 0.3 * centre - 0.25 * country
    education = (schooling[:, None] + draw_normal(rng, n, 1) > [-0.9, 0.3, 1.1]).sum(axis=1)
    return People(age, district, household, education, draw_normal(rng, n, len(ATTITUDES)))


def features(people: People) -> Array:
    """(N, 6) numbers in the order of TOPIC_EFFECTS, centred where they are not yes or no."""
    columns = [
        (people.age_N - 48) / 10,
        people.district_N == 0,
        people.district_N == 2,
        people.household_N == 2,
        people.household_N == 3,
        people.education_N - 1.0,
    ]
    return np.stack([np.asarray(c, dtype=float) for c in columns], axis=1)


def problem_noise() -> tuple[Array, Array]:
    """(T,) what is added to each location, and (T,) what each spread is multiplied by."""
    z_2T = draw_normal(generator(SEED, "problems"), 2, len(STATEMENTS))
    return LOCATION_NOISE * z_2T[0], np.exp(SPREAD_NOISE * z_2T[1])


def utilities(people: People) -> tuple[Array, Array]:
    """(N, T) expected utility of agreeing, and (T,) the standard deviation of one answer around it."""
    x_NF = features(people)
    shift_T, factor_T = problem_noise()
    mean_NT = np.empty((len(people), len(STATEMENTS)))
    spread_T = np.empty(len(STATEMENTS))
    for t, (problem, (topic, _)) in enumerate(STATEMENTS.items()):
        location, spread, *loadings, direction = ATTRIBUTES[problem]
        profile_N = direction * (x_NF * TOPIC_EFFECTS[topic]).sum(axis=1)
        mean_NT[:, t] = location + shift_T[t] + profile_N + (people.attitude_NA * loadings).sum(axis=1)
        spread_T[t] = spread * factor_T[t]
    return mean_NT, spread_T


def draw_responses(people: People, rng: np.random.Generator) -> NDArray[np.int64]:
    """(N, T) answers 1..5 of everybody to everything: an ordinal probit."""
    mean_NT, spread_T = utilities(people)
    utility_NT = mean_NT + spread_T * draw_normal(rng, *mean_NT.shape)
    return 1 + (utility_NT[:, :, None] > CUTS).sum(axis=2)


def true_shares(people: People) -> Array:
    """(T, M) the shares of answers among these people, with the noise of single answers integrated out."""
    mean_NT, spread_T = utilities(people)
    shares = []
    for mean_N, spread in zip(mean_NT.T, spread_T, strict=True):
        below_4 = ndtr((CUTS - mean_N[:, None]) / spread).mean(axis=0)
        shares.append(np.diff(below_4, prepend=0, append=1))
    return np.stack(shares)


def participation(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N, T) who answers what: FEWEST to MOST problems each, all equally likely."""
    count_N = FEWEST + np.floor(rng.random(n) * (MOST - FEWEST + 1))
    order_NT = np.argsort(rng.random((n, len(STATEMENTS))), axis=1, kind="stable")
    rank_NT = np.argsort(order_NT, axis=1, kind="stable")
    return rank_NT < count_N[:, None]


def participant_rows(people: People, rng: np.random.Generator) -> list[list[str]]:
    """One row per person, a few cells left empty."""
    words = [
        [str(int(a)) for a in people.age_N],
        [LEVELS["district"][i] for i in people.district_N],
        [LEVELS["household"][i] for i in people.household_N],
        [LEVELS["education"][i] for i in people.education_N],
    ]
    hidden_NC = rng.random((len(people), len(MISSING))) < list(MISSING.values())
    return [
        [participant_id(n), *("" if hidden_NC[n, c] else column[n] for c, column in enumerate(words))]
        for n in range(len(people))
    ]


def participant_id(n: int) -> str:
    return f"s{n + 1:03d}"


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_study(folder: Path) -> None:
    """Write the six files; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    people = draw_people(PARTICIPANTS, generator(SEED, "people"))
    y_NT = draw_responses(people, generator(SEED, "responses"))
    phi_NT = participation(PARTICIPANTS, generator(SEED, "participation"))
    truth_TM = true_shares(draw_people(TRUTH_PEOPLE, generator(SEED, "truth")))
    problems = list(STATEMENTS)
    shares = [f"p{m}" for m in range(1, 6)]

    (folder / "study.toml").write_text(STUDY_TOML, encoding="utf-8", newline="\n")
    write_table(
        folder / "problems.csv",
        ["problem", "text", "topic"],
        ([problem, text, topic] for problem, (topic, text) in STATEMENTS.items()),
    )
    write_table(
        folder / "participants.csv",
        ["participant", *MISSING],
        participant_rows(people, generator(SEED, "missing")),
    )
    write_table(
        folder / "responses.csv",
        ["participant", "problem", "response"],
        ([participant_id(n), problems[t], y_NT[n, t]] for n, t in zip(*np.nonzero(phi_NT), strict=True)),
    )
    write_table(
        folder / "references.csv",
        ["problem", *(f"k{k}" for k in range(1, 9)), *shares],
        ([problem, *decisions, *percents] for problem, (decisions, percents) in REFERENCES.items()),
    )
    write_table(
        folder / "truth.csv",
        ["problem", *shares],
        ([problem, *(f"{p:.5f}" for p in p_M)] for problem, p_M in zip(problems, truth_TM, strict=True)),
    )


if __name__ == "__main__":
    write_study(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "src/crowdllm/demo_study")

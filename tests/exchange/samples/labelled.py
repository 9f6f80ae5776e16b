"""A survey with value labels, missing codes and weights, written by pyreadstat as SPSS and Stata files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

AGREE = {1.0: "Agree strongly", 2.0: "Agree", 3.0: "Neither", 4.0: "Disagree", 5.0: "Disagree strongly"}
LABELS = {
    "better": AGREE | {8.0: "Don't know", 9.0: "Refused"},
    "fair": AGREE,
    "gender": {1.0: "Male", 2.0: "Female"},
    "educ": {1.0: "Primary school", 2.0: "High school", 3.0: "Bachelor", 4.0: "Master"},
    "trust": {0.0: "No trust at all", 10.0: "Complete trust"},
    "news": {1.0: "Television", 2.0: "Papers", 3.0: "Internet", 99.0: "No answer"},
}
WORDS = {
    "better": "Immigrants make the country better",
    "fair": "Courts are fair",
    "trust": "Trust in parliament",
    "news": "Where do you get your news?",
    "warm": "How warm do you feel towards dogs?",
    "wt": "Post-stratification weight",
    "why": "Why do you say so?",
}
PEOPLE = 6


def frame() -> pd.DataFrame:
    """Six people; the second has no weight, and so counts for nothing."""
    return pd.DataFrame(
        {
            "respid": [f"5f3c1e2d4b5a69788796a{i:03x}" for i in range(PEOPLE)],
            "email": [f"person{i}@example.org" for i in range(PEOPLE)],
            "age": [20.0, 30.0, 40.0, 50.0, np.nan, 70.0],
            "gender": [1.0, 2.0, 1.0, 2.0, 1.0, np.nan],
            "educ": [1.0, 2.0, 3.0, 4.0, 4.0, 1.0],
            "better": [1.0, 2.0, 9.0, 8.0, 5.0, 3.0],
            "fair": [5.0, 4.0, 3.0, 2.0, 1.0, np.nan],
            "trust": [0.0, 10.0, 5.0, 7.0, 2.0, 5.0],
            "news": [1.0, 2.0, 3.0, 99.0, 3.0, 3.0],
            "warm": [50.0, 99.5, 0.0, 12.25, 100.0, 33.0],
            "wt": [0.5, np.nan, 1.5, 1.0, 2.0, 1.0],
            "why": ["because", "", "I said so, mail me at me@example.org", "no", "well", "hm"],
        }
    )


def write_sav(folder: Path) -> list[list[Path]]:
    """Plain, compressed by row, and as .zsav."""
    missing = {"better": [9.0], "news": [{"lo": 90.0, "hi": 99.0}]}
    measure = {"better": "ordinal", "news": "nominal", "trust": "scale"}
    out = []
    for name, extra in (("plain.sav", {}), ("rows.sav", {"row_compress": True}), ("packed.zsav", {"compress": True})):
        pyreadstat.write_sav(
            frame(),
            folder / name,
            file_label="Trust 2024",
            column_labels=WORDS,
            variable_value_labels=LABELS,
            missing_ranges=missing,
            variable_measure=measure,
            **extra,
        )
        out.append([folder / name])
    return out


def write_dta(folder: Path) -> list[list[Path]]:
    """An old and the newest version; in the newer one a refusal is Stata's missing value .a."""
    whole = {name: {int(code): word for code, word in table.items()} for name, table in LABELS.items()}
    plain = frame()
    tagged = plain.copy()
    tagged["better"] = [value if value != 9.0 else "a" for value in plain["better"]]
    better = {1: "Agree strongly", 2: "Agree", 3: "Neither", 4: "Disagree", 5: "Disagree strongly", 8: "Don't know"}
    pyreadstat.write_dta(
        tagged,
        folder / "new.dta",
        version=15,
        file_label="Trust 2024",
        column_labels=WORDS,
        variable_value_labels=whole | {"better": better | {"a": "Refused"}},
        missing_user_values={"better": ["a"]},
    )
    pyreadstat.write_dta(plain, folder / "old.dta", version=10, column_labels=WORDS, variable_value_labels=whole)
    return [[folder / "new.dta"], [folder / "old.dta"]]

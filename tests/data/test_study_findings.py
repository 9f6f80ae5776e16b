"""Every mistake in a study folder is found, all at once, with file, row, column, value and nearest name."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crowdllm.data.study_assembly import Assembly
from crowdllm.data.study_check import check_study
from crowdllm.data.study_folder import load_study, read_study
from crowdllm.errors import Finding, StudyError
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

Make = Callable[..., Path]
HEAD = "participant,problem,response\n"
CONTINUOUS = '[response]\ntype = "continuous"\nlow = 0\nhigh = 10\n'
CHOICE = '[response]\ntype = "choice"\n'


def errors(folder: Path) -> list[Finding]:
    return [f for f in read_study(folder).findings if f.severity == "error"]


def the_error(folder: Path) -> Finding:
    found = errors(folder)
    assert len(found) == 1, [str(f) for f in found]
    return found[0]


def some(assembly: Assembly, severity: str, words: str) -> Finding:
    found = [f for f in assembly.findings if f.severity == severity and words in f.message]
    assert len(found) == 1, [(f.severity, str(f)) for f in assembly.findings]
    return found[0]


def test_a_good_study_has_no_error_and_only_the_notes_it_deserves(make_study: Make) -> None:
    found = read_study(make_study()).findings
    assert [(f.severity, f.message.split(":")[0]) for f in found] == [
        ("warning", "very few responses"),
        ("note", "1 problem(s) without responses"),
    ]


# --- files and columns ------------------------------------------------------------------------------------


def test_a_missing_folder_is_an_error_that_names_the_nearest(make_study: Make) -> None:
    found = the_error(make_study().with_name("studi"))
    assert (found.message, found.nearest) == ("there is no such folder", "study")


@pytest.mark.parametrize("kind", ["problems", "participants", "responses"])
def test_a_missing_file_is_an_error_that_names_the_nearest(make_study: Make, kind: str) -> None:
    folder = make_study()
    (folder / f"{kind}.csv").rename(folder / f"{kind[:-1]}.csv")
    found = the_error(folder)
    assert (found.file, found.message, found.nearest) == (f"{kind}.csv", "is missing", f"{kind[:-1]}.csv")


def test_a_file_named_in_study_toml_and_missing_is_an_error(make_study: Make) -> None:
    toml = f'[files]\nresponses = "answers.csv"\n{CONTINUOUS}'
    assert the_error(make_study(toml=toml)).file == "answers.csv"


def test_one_file_cannot_be_two_tables(make_study: Make) -> None:
    toml = f'[files]\nproblems = "responses.csv"\n{CONTINUOUS}'
    found = errors(make_study(toml=toml))[0]
    assert found.file == "responses.csv"
    assert found.message == "is named as the table of problems and of responses"


@pytest.mark.parametrize("kind", ["problems", "participants", "responses"])
def test_an_empty_file_is_an_error(make_study: Make, kind: str) -> None:
    found = the_error(make_study(**{kind: ""}))
    assert found.file == f"{kind}.csv"
    assert "is empty" in found.message


@pytest.mark.parametrize(
    ("kind", "role", "wrong"),
    [
        ("problems", "problem", "problm"),
        ("problems", "text", "texte"),
        ("participants", "participant", "particpant"),
        ("responses", "response", "respons"),
        ("responses", "participant", "participants"),
    ],
)
def test_a_missing_column_is_an_error_that_names_the_nearest(
    make_study: Make, kind: str, role: str, wrong: str
) -> None:
    folder = make_study()
    path = folder / f"{kind}.csv"
    path.write_text(path.read_text().replace(role, wrong, 1))
    found = the_error(folder)
    assert (found.file, found.row, found.column, found.nearest) == (f"{kind}.csv", 1, role, wrong)


def test_a_profile_column_not_in_the_file_is_an_error_that_names_the_nearest(make_study: Make) -> None:
    found = the_error(make_study(participants="participant,agee,party\nann,1,x\nbob,2,y\ncho,3,x\n"))
    assert (found.column, found.nearest) == ("age", "agee")


def test_a_mapped_column_that_no_table_has_is_an_error_that_names_the_nearest(make_study: Make) -> None:
    toml = f'[columns]\nresponse = "respnse"\n{CONTINUOUS}'
    found = the_error(make_study(toml=toml))
    assert (found.column, found.value, found.nearest) == ("columns.response", "respnse", "response")


def test_mapped_columns_are_read_and_may_differ_between_files(make_study: Make) -> None:
    folder = make_study(
        toml=f'[columns]\nproblem = ["item", "asked"]\ntext = "body"\nparticipant = "user"\n{CONTINUOUS}',
        problems="item,body,problem\nq1,First,x\n",
        participants="user\nann\n",
        responses="user,asked,response\nann,q1,1\n",
    )
    study = load_study(folder)
    assert study.problems.texts.tolist() == ["First"]
    assert study.problems.attributes["problem"].tolist() == ["x"]
    assert study.describe() == "N=1 T=1 R=1"


def test_both_csv_and_parquet_is_a_warning_that_says_which_is_read(make_study: Make) -> None:
    folder = make_study()
    (folder / "responses.parquet").write_bytes(b"")
    found = some(read_study(folder), "warning", "responses.parquet beside it is not")
    assert found.file == "responses.csv"


# --- crowd-kit ----------------------------------------------------------------------------------------------


def test_crowd_kit_columns_are_recognised_and_noted(make_study: Make) -> None:
    folder = make_study(
        toml=CONTINUOUS,
        problems="task,text\nq1,First\n",
        participants=None,
        responses="task,worker,label\nq1,ann,3\nq1,bob,4\n",
    )
    assembly = read_study(folder)
    assert load_study(folder).describe() == "N=2 T=1 R=2"
    note = some(assembly, "note", "'worker' as participant")
    assert note.file == "responses.csv"
    assert "'task' as problem" in note.message
    assert "'label' as response" in note.message


def test_a_folder_of_crowd_kit_responses_alone_is_read_with_a_warning(make_study: Make) -> None:
    rows = "task,worker,label\nq1,ann,cat\nq1,bob,dog\nq2,ann,cat\n"
    folder = make_study(toml=None, problems=None, participants=None, responses=rows)
    study = load_study(folder)
    assert study.response_type == Choice(max_options=2)
    assert study.problems.options == (("cat", "dog"), ("cat", "dog"))
    assert study.profiles.ids.tolist() == ["ann", "bob"]
    assert study.responses.values_RD.tolist() == [[0], [1], [0]]
    assert "guessed" in some(read_study(folder), "warning", "guessed").message


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["1", "5", "3"], Ordinal(("1", "2", "3", "4", "5"))),
        (["0", "1"], Ordinal(("0", "1"))),
        (["0.5", "1"], Continuous()),
        (["0", "100"], Continuous()),
    ],
)
def test_without_study_toml_numbers_are_guessed_to_be_a_scale(
    make_study: Make, labels: list[str], expected: object
) -> None:
    rows = "".join(f"q{i},ann,{label}\n" for i, label in enumerate(labels))
    folder = make_study(toml=None, problems=None, participants=None, responses=f"task,worker,label\n{rows}")
    assert load_study(folder).response_type == expected


def test_a_misspelt_study_toml_is_an_error_rather_than_a_guess(make_study: Make) -> None:
    folder = make_study()
    (folder / "study.toml").rename(folder / "study.tolm")
    found = the_error(folder)
    assert (found.file, found.nearest) == ("study.toml", "study.tolm")


# --- ids --------------------------------------------------------------------------------------------------


def test_unknown_ids_in_responses_name_row_value_and_nearest(make_study: Make) -> None:
    found = errors(make_study(responses=f"{HEAD}anne,q1,1\nann,Q2,2\nbob,q1,3\n"))
    assert [(f.row, f.column, f.value, f.nearest, f.message) for f in found] == [
        (2, "participant", "anne", "ann", "unknown participant"),
        (3, "problem", "Q2", "q2", "unknown problem"),
    ]


def test_blanks_around_an_id_are_a_finding_with_the_nearest_id(make_study: Make) -> None:
    found = the_error(make_study(responses=f"{HEAD} ann,q1,1\n"))
    assert (found.value, found.nearest) == (" ann", "ann")
    assert "blanks at its ends" in found.message


def test_blanks_around_an_id_are_a_warning_where_the_id_is_defined(make_study: Make) -> None:
    folder = make_study(problems="problem,text\nq1 ,a\nq2,b\n", responses=f"{HEAD}ann,q2,1\n")
    found = some(read_study(folder), "warning", "blanks at its ends")
    assert (found.file, found.row, found.value, found.nearest) == ("problems.csv", 2, "q1 ", "q1")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("problems", "problem,text\nq1,a\nq2,b\nq1,c\nq3,d\n"),
        ("participants", "participant,age,party\nann,1,x\nbob,2,y\nann,3,x\ncho,3,x\n"),
    ],
)
def test_an_id_that_comes_twice_is_an_error_naming_both_rows(make_study: Make, kind: str, text: str) -> None:
    found = the_error(make_study(**{kind: text}))
    assert (found.file, found.row, found.value) == (f"{kind}.csv", 4, text.split("\n")[1].split(",")[0])
    assert found.message.endswith("as in row 2")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("problems", "problem,text\nq1,a\nq2,b\n,c\n"),
        ("participants", "participant,age,party\nann,1,x\nbob,2,y\ncho,3,x\n  ,3,x\n"),
        ("responses", f"{HEAD}ann,q1,1\nann,,1\n,q1,1\n"),
    ],
)
def test_an_empty_id_is_an_error(make_study: Make, kind: str, text: str) -> None:
    found = [f for f in errors(make_study(**{kind: text})) if "empty" in f.message]
    expected = {"problems": [4], "participants": [5], "responses": [4, 3]}
    assert [f.row for f in found] == expected[kind]


def test_a_second_response_to_the_same_problem_is_an_error_naming_both_rows(make_study: Make) -> None:
    found = the_error(make_study(responses=f"{HEAD}ann,q1,1\nbob,q1,1\nann,q1,2\n"))
    assert (found.row, found.value) == (4, "ann, q1")
    assert found.message == "the same participant and problem as in row 2"


# --- responses --------------------------------------------------------------------------------------------


def test_a_value_off_the_scale_is_an_error_with_what_is_allowed(make_study: Make) -> None:
    found = the_error(make_study(responses=f"{HEAD}ann,q1,1\nann,q2,7\n"))
    assert (found.file, found.row, found.column) == ("responses.csv", 3, "response")
    assert (found.value, found.allowed, found.message) == ("7", "1, 2, 3", "not on the scale")


def test_a_misspelt_level_names_the_nearest(make_study: Make) -> None:
    toml = '[response]\ntype = "ordinal"\nlevels = ["never", "sometimes", "always"]\n'
    found = the_error(make_study(toml=toml, responses=f"{HEAD}ann,q1,alwys\nann,q2, Never \n"))
    assert (found.value, found.nearest) == ("alwys", "always")


def test_a_text_where_a_number_belongs_is_an_error(make_study: Make) -> None:
    found = the_error(make_study(toml=CONTINUOUS, responses=f"{HEAD}ann,q1,three\nann,q2,3.5\n"))
    assert (found.row, found.value, found.message) == (2, "three", "a text where a number belongs")


def test_a_number_beyond_the_bounds_is_an_error(make_study: Make) -> None:
    found = the_error(make_study(toml=CONTINUOUS, responses=f"{HEAD}ann,q1,10.5\n"))
    assert (found.message, found.allowed) == ("not on the scale", "a number of at least 0 and of at most 10")


@pytest.mark.parametrize("toml", [CONTINUOUS, '[response]\ntype = "ordinal"\nlevels = [1, 2, 3.5]\n'])
def test_a_decimal_comma_in_a_semicolon_file_is_an_error_not_coerced(make_study: Make, toml: str) -> None:
    found = the_error(make_study(toml=toml, responses="participant;problem;response\nann;q1;3,5\nann;q2;2\n"))
    assert (found.row, found.value, found.message) == (
        2,
        "3,5",
        "a number with a decimal comma: write a point",
    )


def test_empty_responses_are_one_warning_that_counts_them_and_are_left_out(make_study: Make) -> None:
    folder = make_study(responses=f"{HEAD}ann,q1,1\nann,q2,\nbob,q1,  \nbob,q2,2\n")
    found = some(read_study(folder), "warning", "empty response cell")
    assert "2 empty response cell(s)" in found.message
    assert "row 3, 4" in found.message
    assert load_study(folder).responses.problem_R.tolist() == [0, 1]


def test_a_word_for_missing_is_an_error_that_says_to_leave_the_cell_empty(make_study: Make) -> None:
    found = the_error(make_study(responses=f"{HEAD}ann,q1,NA\n"))
    assert "leave the cell empty" in found.message


def test_ragged_rows_are_found_and_give_no_second_finding(make_study: Make) -> None:
    found = errors(make_study(responses=f"{HEAD}ann,q1,1\nann,q2\nbob,q1,1,9\nbob,q9,1\n"))
    assert [(f.row, f.message) for f in found] == [
        (3, "has 2 cells where the header has 3"),
        (4, "has 4 cells where the header has 3"),
        (5, "unknown problem"),
    ]


def test_rows_stay_right_after_texts_with_newlines(make_study: Make) -> None:
    problems = 'problem,text\nq1,"a\nb\nc"\nq2,"d\r\ne"\nq2,f\n'
    found = [f for f in errors(make_study(problems=problems)) if f.file == "problems.csv"]
    assert [(f.row, f.message) for f in found] == [(4, "the same problem id as in row 3")]


def test_columns_of_responses_that_are_not_loaded_are_noted(make_study: Make) -> None:
    folder = make_study(responses="participant,problem,response,seconds\nann,q1,1,9\n")
    assert "seconds" in some(read_study(folder), "note", "columns not loaded").message


@pytest.mark.parametrize(("rows", "count"), [("", 0), ("ann,q1,1\n", 1)])
def test_no_response_and_one_response_are_warnings_and_load(make_study: Make, rows: str, count: int) -> None:
    folder = make_study(responses=HEAD + rows)
    assert len(load_study(folder).responses) == count
    words = "very few responses: 1" if count else "no responses"
    assert some(read_study(folder), "warning", words).file == "responses.csv"


def test_a_study_without_problems_is_an_error(make_study: Make) -> None:
    found = the_error(make_study(problems="problem,text\n", responses=HEAD))
    assert (found.file, "no problems" in found.message) == ("problems.csv", True)


def test_enough_responses_give_no_warning(make_study: Make) -> None:
    people = "".join(f"p{i},1,red\np{i}x,2,blue\n" for i in range(25))
    rows = "".join(f"{p.split(',')[0]},{q},1\n" for p in people.split() for q in ("q1", "q2"))
    folder = make_study(participants=f"participant,age,party\n{people}", responses=HEAD + rows)
    assert len(load_study(folder).responses) == 100
    assert not [f for f in read_study(folder).findings if f.severity == "warning"]


# --- options ----------------------------------------------------------------------------------------------


def test_options_are_read_from_the_problems_separated_by_bars_or_as_json(make_study: Make) -> None:
    folder = make_study(
        toml=CHOICE,
        problems='problem,text,options\nq1,a,x | y\nq2,b,"[""u|v"", ""w"", 3]"\n',
        responses=f"{HEAD}ann,q1,y\nann,q2,u|v\nbob,q2,#3\n",
    )
    study = load_study(folder)
    assert study.problems.options == (("x", "y"), ("u|v", "w", "3"))
    assert study.response_type == Choice(max_options=3)
    assert study.responses.values_RD.tolist() == [[1], [0], [2]]


def test_an_option_the_problem_does_not_have_names_the_nearest(make_study: Make) -> None:
    folder = make_study(
        toml=CHOICE,
        problems="problem,text,options\nq1,a,yes|no\nq2,b,bread|butter\n",
        responses=f"{HEAD}ann,q1,butter\nann,q2,buter\n",
    )
    found = errors(folder)
    assert [(f.row, f.value, f.nearest) for f in found] == [(2, "butter", ""), (3, "buter", "butter")]
    assert found[0].allowed == "one of #1 yes; #2 no"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", "no options"),
        ("a|a ", "two options read 'a'"),
        ("a||b", "an option is empty"),
        ("#2|b", "number of another option"),
    ],
)
def test_faulty_options_are_errors_of_the_problem(make_study: Make, cell: str, words: str) -> None:
    folder = make_study(toml=CHOICE, problems=f"problem,text,options\nq1,a,x|y\nq2,b,{cell}\n", responses=HEAD)
    found = the_error(folder)
    assert (found.file, found.row, found.column) == ("problems.csv", 3, "options")
    assert words in found.message


def test_missing_options_are_one_error_not_one_for_each_response(make_study: Make) -> None:
    folder = make_study(toml=CHOICE, responses=f"{HEAD}ann,q1,a\nann,q2,b\n")
    found = the_error(folder)
    assert (found.file, found.column) == ("problems.csv", "options")


def test_a_problem_with_fewer_options_than_picks_is_an_error(make_study: Make) -> None:
    folder = make_study(
        toml='[response]\ntype = "ballot"\nmin_picks = 3\nmax_picks = 3\n',
        problems="problem,text,options\nq1,a,x|y|z\nq2,b,x|y\n",
        responses=f"{HEAD}ann,q1,x|y|z\n",
    )
    found = the_error(folder)
    assert (found.value, found.message) == ("q2", "has fewer options than the 3 that must be picked")


# --- profiles ---------------------------------------------------------------------------------------------


def test_missing_profile_values_stay_missing_and_are_noted(make_study: Make) -> None:
    folder = make_study(participants="participant,age,party\nann,,red\nbob,44,\ncho,50, \n")
    study = load_study(folder)
    assert np.isnan(study.profiles.values_NC).tolist() == [[True, False], [False, True], [False, True]]
    notes = [f for f in read_study(folder).findings if "missing for" in f.message]
    assert [(f.column, f.message.split(",")[0]) for f in notes] == [
        ("age", "is missing for 1 of 3 people"),
        ("party", "is missing for 2 of 3 people"),
    ]


def test_levels_that_are_not_declared_are_read_off_the_data_in_sorted_order(make_study: Make) -> None:
    column = load_study(make_study()).profiles.columns[1]
    assert (column.kind, column.levels) == ("categorical", ("blue", "red"))


@pytest.mark.parametrize("kind", ["ordinal", "categorical"])
def test_an_unknown_level_of_a_declared_column_names_the_nearest(make_study: Make, kind: str) -> None:
    toml = f'[profile.party]\nkind = "{kind}"\nlevels = ["red", "blue"]\n{CONTINUOUS}'
    found = the_error(make_study(toml=toml, participants="participant,party\nann,red\nbob,Blue\ncho,red\n"))
    assert (found.row, found.column, found.value) == (3, "party", "Blue")
    assert (found.allowed, found.nearest) == ("red, blue", "blue")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("forty", "a text where a number belongs"),
        ('"44,5"', "a number with a decimal comma: write a point"),
        ("n/a", "a word for a missing value: leave the cell empty"),
    ],
)
def test_a_numeric_profile_column_takes_numbers_only(make_study: Make, cell: str, message: str) -> None:
    found = the_error(make_study(participants=f"participant,age,party\nann,31,x\nbob,{cell},y\ncho,5,y\n"))
    assert (found.row, found.column, found.value, found.message) == (3, "age", cell.strip('"'), message)


def test_a_constant_or_empty_profile_column_is_a_warning(make_study: Make) -> None:
    assembly = read_study(make_study(participants="participant,age,party\nann,31,\nbob,31,\ncho,31,\n"))
    assert some(assembly, "warning", "is constant").column == "age"
    assert some(assembly, "warning", "no value for anybody").column == "party"


def test_an_identifier_among_the_profile_columns_is_a_warning(make_study: Make) -> None:
    rows = "".join(f"p{i},{i},x{i}\n" for i in range(30))
    folder = make_study(participants=f"participant,age,party\n{rows}", responses=f"{HEAD}p1,q1,1\n")
    assert some(read_study(folder), "warning", "is it an identifier?").column == "party"


def test_levels_that_differ_only_in_blanks_or_case_are_a_warning(make_study: Make) -> None:
    assembly = read_study(make_study(participants="participant,age,party\nann,1,Red\nbob,2,red\ncho,3,N/A\n"))
    assert "'Red', 'red'" in some(assembly, "warning", "differ only in blanks or case").message
    assert "'N/A'" in some(assembly, "warning", "missing value leave the cell empty").message


def test_undeclared_columns_of_people_are_not_loaded_and_personal_data_is_named(make_study: Make) -> None:
    folder = make_study(
        participants="participant,age,party,shoe,RecipientEmail,ip_address,PROLIFIC_PID\n"
        "ann,1,x,9,a@b,1.2.3.4,z\nbob,2,y,9,a@b,1.2.3.4,z\ncho,3,y,9,a@b,1.2.3.4,z\n"
    )
    assembly = read_study(folder)
    assert [c.name for c in load_study(folder).profiles.columns] == ["age", "party"]
    everything = some(assembly, "note", "[profile] does not declare them").message
    assert everything.endswith("shoe, RecipientEmail, ip_address, PROLIFIC_PID")
    personal = some(assembly, "note", "look like personal data").message
    assert personal.endswith("from the file: RecipientEmail, ip_address, PROLIFIC_PID")


def test_people_and_problems_without_responses_are_notes(make_study: Make) -> None:
    assembly = read_study(make_study(responses=f"{HEAD}ann,q1,1\n"))
    assert "2 participant(s) without responses: 'bob', 'cho'" in some(assembly, "note", "participant(s)").message
    open_ = some(assembly, "note", "these are the ones to predict")
    assert "2 problem(s) without responses: 'q2', 'q3'" in open_.message


def test_a_problem_without_text_is_a_warning(make_study: Make) -> None:
    assembly = read_study(make_study(problems="problem,text\nq1,a\nq2,\nq3,c\n"))
    found = some(assembly, "warning", "has no text")
    assert (found.file, found.row) == ("problems.csv", 3)


def test_participants_may_be_absent_without_profile_columns(make_study: Make) -> None:
    folder = make_study(toml=CONTINUOUS, participants=None)
    assert load_study(folder).profiles.ids.tolist() == ["ann", "bob", "cho"]
    assert load_study(folder).profiles.values_NC.shape == (3, 0)


def test_participants_may_not_be_absent_with_profile_columns(make_study: Make) -> None:
    found = the_error(make_study(participants=None))
    assert (found.file, found.message) == ("participants.csv", "is missing")


def test_blanks_around_ids_read_off_the_responses_are_a_warning(make_study: Make) -> None:
    folder = make_study(toml=CONTINUOUS, participants=None, responses=f"{HEAD}ann,q1,1\nann ,q2,2\n")
    found = some(read_study(folder), "warning", "blanks at its ends")
    assert (found.row, found.value, found.nearest) == (3, "ann ", "ann")


# --- all of it --------------------------------------------------------------------------------------------


def test_mistakes_in_every_file_come_all_at_once_and_loading_raises_with_all(make_study: Make) -> None:
    folder = make_study(
        toml=CONTINUOUS.replace("low", "lw") + "[profile.age]\nkind = 'numeric'\n",
        problems="problem,text\nq1,a\nq1,b\n",
        participants="participant,age\nann,old\n",
        responses=f"{HEAD}ann,q7,1\nzoe,q1,1\n",
    )
    expected = {"response.lw", "problem", "age", "participant"}
    with pytest.raises(StudyError) as raised:
        load_study(folder)
    assert {f.column for f in raised.value.findings if f.severity == "error"} == expected
    assert {f.file for f in errors(folder)} == {
        "study.toml",
        "problems.csv",
        "participants.csv",
        "responses.csv",
    }
    assert len(str(raised.value).splitlines()) == 5


def test_broken_toml_still_reports_what_is_wrong_with_the_files(make_study: Make) -> None:
    found = errors(make_study(toml="[response\n", responses="", participants=None, problems="problem,text\nq1\n"))
    assert [f.file for f in found] == ["study.toml", "problems.csv", "responses.csv"]


def test_thousands_of_findings_of_one_sort_are_all_kept(make_study: Make) -> None:
    rows = "".join(f"p{i},q1,9\n" for i in range(3000))
    report = check_study(make_study(responses=HEAD + rows))
    assert len(report.of("error")) == 6000
    assert {re.sub("p[0-9]+", "p", f.value) for f in report.of("error")} == {"p", "9"}


def test_each_distinct_response_cell_is_parsed_once(make_study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = Ordinal.read_cell

    def counted(self: Ordinal, cell: str, options: tuple[str, ...] = ()) -> object:
        seen.append(cell)
        return original(self, cell, options)

    people = "".join(f"p{i}\n" for i in range(30_000))
    rows = "".join(f"p{i},q{1 + i % 3},{1 + i % 3}\n" for i in range(30_000))
    folder = make_study(
        toml='[response]\ntype = "ordinal"\nlevels = [1, 2, 3]\n',
        participants=f"participant\n{people}",
        responses=HEAD + rows,
    )
    monkeypatch.setattr(Ordinal, "read_cell", counted)
    assert len(load_study(folder).responses) == 30_000
    assert sorted(seen) == ["1", "2", "3"]

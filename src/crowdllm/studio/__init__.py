"""The studio: a local page to write new problems, choose who is asked, and look at how a crowd would answer.

The page is a thin layer: what it shows comes from calls that work without it, and without FastAPI.

    crowd       recruit_crowd, ask_crowd: a crowd's distribution on one problem, everybody and subgroups
    behind      people_behind: how many training people stand behind a choice of who is asked
    calibration measure_reach: how far a crowd is from people on problems that it has not seen
    interval    answer_interval: how sure that distribution is, and which kind of interval it is
    new_reference, asking  the reference that a model expects of a new problem, typed in or asked of an LLM once
    persons     a few simulated people's answers across problems
    importing   a table of responses into a study folder; what `check` finds, row by row
    survey_import  files of survey and labelling tools into studies, by the readers of `crowdllm import`
    export      problems, answers and distributions as a study folder and as CSV

`store`, `workspace` and `fits` keep what was made on disk; `guard`, `app` and the modules `pages_*` are the web part.
"""

"""For all tests: where a data mirror is promised, no test may skip because data are missing."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

os.environ["CROWDLLM_EMBEDDING_CACHE"] = (
    "off"  # no test finds what an earlier run kept, nor writes to the user's folder
)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.CallInfo[None], None]:
    """A skip for want of a data set is a failure when CROWDLLM_DATA_DIR is set in CI."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    missing = report.skipped and "CROWDLLM_DATA_DIR" in str(report.longrepr)
    if missing and os.environ.get("CI") and os.environ.get("CROWDLLM_DATA_DIR"):
        report.outcome = "failed"
        report.longrepr = f"data set missing although CROWDLLM_DATA_DIR is set: {report.longrepr}"

"""A PDF of a report, printed by a browser that is on the machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from crowdllm.errors import CrowdLLMError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
OPTIONS = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-pdf-header-footer",
)  # fmt: skip
SECONDS = 120


def print_pdf(html: Path, pdf: Path) -> Path:
    """Print `html` to `pdf`; raises CrowdLLMError where there is no such browser, or it fails."""
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        raise CrowdLLMError(
            f"a PDF is printed by a browser, and none of {', '.join(BROWSERS)} was found: install one, or open {html} "
            "and print it"
        )
    with tempfile.TemporaryDirectory() as profile:
        made = Path(profile) / "report.pdf"
        command = [browser, *OPTIONS, f"--user-data-dir={profile}/profile", f"--print-to-pdf={made}"]
        command += _sandbox()
        try:
            ran = subprocess.run([*command, html.resolve().as_uri()], capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise CrowdLLMError(f"{browser} did not print {html} within {SECONDS} s; open it and print it") from None
        if not made.is_file():
            raise CrowdLLMError(
                f"{browser} could not print {html} (exit status {ran.returncode}); open it and print it"
            )
        shutil.copyfile(made, pdf)
    return pdf


def _sandbox() -> list[str]:
    """Chromium refuses to run as root with its sandbox; the page is our own and has no foreign script."""
    import os

    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []

"""One self-contained HTML file: the first screen, sections, charts that can be downloaded, a search over problems.

Nothing is fetched: styles, script and pictures are inside, and a content security policy names the script by its hash.
All foreign text is escaped in the page, and reaches the script as JSON in which `<` is written as an escape, shown by
`textContent` only. Without a script everything but the search is there; on paper too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from hashlib import sha256

from crowdllm.report.dossier.answers import NEVER, NOT_ANSWERED, QUESTIONS, Chart, Contribution, Explorer, Section
from crowdllm.report.page import STYLE, Block, block_html, inline_svg, safe_text

MOST_BYTES = 3_000_000
SCRIPT = """
"use strict";
(function () {
  var box = document.getElementById("explorer");
  if (!box) { return; }
  box.hidden = false;
  var problems = JSON.parse(document.getElementById("problems").textContent);
  var input = document.getElementById("search"), list = document.getElementById("hits");
  var view = document.getElementById("shown");
  function add(parent, tag, text, kind) {
    var made = document.createElement(tag);
    if (text) { made.textContent = text; }
    if (kind) { made.className = kind; }
    parent.appendChild(made);
    return made;
  }
  function bar(row, share, kind, words) {
    var cell = add(row, "td"), line = add(cell, "span", "", "bar " + kind);
    line.style.width = Math.max(share, 0.3) * 1.6 + "px";
    add(cell, "span", " " + words);
  }
  function show(problem) {
    view.textContent = "";
    add(view, "h3", problem.text);
    var table = add(view, "table"), head = add(add(table, "thead"), "tr"), body = add(table, "tbody");
    ["answer", problem.human ? "humans (" + problem.humans + ")" : "", "simulated crowd"].forEach(function (name) {
      if (name) { add(head, "th", name).scope = "col"; }
    });
    problem.labels.forEach(function (label, m) {
      var row = add(body, "tr");
      add(row, "th", label).scope = "row";
      if (problem.human) { bar(row, problem.human[m], "human", problem.human[m].toFixed(0) + " %"); }
      bar(row, problem.crowd[m], "crowd", problem.crowd[m].toFixed(0) + " %");
    });
  }
  function search() {
    var words = input.value.toLowerCase().split(/\\s+/).filter(Boolean);
    var hits = problems.filter(function (p) {
      var text = (p.id + " " + p.text).toLowerCase();
      return words.every(function (word) { return text.indexOf(word) >= 0; });
    });
    list.textContent = "";
    hits.slice(0, 20).forEach(function (p) {
      var button = add(add(list, "li"), "button", p.text.slice(0, 120) || p.id);
      button.type = "button";
      button.addEventListener("click", function () { show(p); });
    });
    document.getElementById("count").textContent = hits.length + " of " + problems.length + " problems";
    if (hits.length) { show(hits[0]); }
  }
  input.addEventListener("input", search);
  search();
}());
"""
MORE_STYLE = """
.first { background: #f4f7fa; border: 1px solid #d5dde5; padding: .5rem 1.2rem 1rem; }
.first h2 { border: 0; margin: 1rem 0 .2rem; padding: 0; font-size: 1.05rem; }
.first p, .first ul { margin: .2rem 0; }
p, li, h1, h2, h3, figcaption { overflow-wrap: anywhere; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.download { font-size: .8rem; } .download a { margin-right: 1rem; color: #005b99; }
#search { font: inherit; width: 100%; max-width: 30rem; padding: .3rem; border: 1px solid #767676; }
#hits { list-style: none; padding: 0; max-height: 12rem; overflow-y: auto; }
#hits button { font: inherit; font-size: .85rem; text-align: left; border: 0; background: none; color: #005b99;
  cursor: pointer; padding: .25rem 0; min-height: 24px; }
.bar { display: inline-block; height: .8em; } .bar.human { background: #767676; } .bar.crowd { background: #0072b2; }
#shown td { text-align: left; }
nav ul { columns: 2; padding-left: 1.2rem; } nav a { color: #005b99; }
@media (max-width: 40rem) { nav ul { columns: 1; } body { margin: 1rem auto; } }
@media print { #explorer, .download, nav { display: none; } .first { border: 0; } h2 { break-after: avoid; }
  figure, table { break-inside: avoid; } }
"""


def document(title: str, contributions: Sequence[Contribution], command: str) -> str:
    """The whole file. Raises ValueError where it would exceed 3 MB: how many problems it holds is the caller's."""
    text = "\n".join(_document(title, contributions, command)) + "\n"
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise ValueError(f"the report would have {len(text):,} characters, more than {MOST_BYTES:,}")
    return text


def _document(title: str, contributions: Sequence[Contribution], command: str) -> Iterator[str]:
    sections = [section for one in contributions for section in one.sections]
    digest = base64.b64encode(sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{safe_text(title)}</title>\n<style>{STYLE}{MORE_STYLE}</style>\n</head>\n<body>"
    yield f"<main>\n<h1>{safe_text(title)}</h1>"
    yield from _first_screen(contributions)
    yield '<nav aria-label="Contents">\n<ul>'
    for number, section in enumerate(sections):
        yield f'<li><a href="#s{number}">{safe_text(section.title)}</a></li>'
    yield '<li><a href="#made">How it was made</a></li>\n</ul>\n</nav>'
    for number, section in enumerate(sections):
        yield from _section(section, number)
    yield '<h2 id="made">How it was made</h2>\n<ul>'
    for line in (line for one in contributions for line in one.made):
        yield f"<li>{safe_text(line)}</li>"
    yield f"</ul>\n<pre>{safe_text(command)}</pre>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>"


def _first_screen(contributions: Sequence[Contribution]) -> Iterator[str]:
    yield '<section class="first" aria-label="In short">'
    for key, question in QUESTIONS.items():
        yield f"<h2>{question}</h2>"
        if key == "not":
            said = [*NEVER, *(one.answers["not"] for one in contributions if "not" in one.answers)]
            yield "<ul>" + "".join(f"<li>{safe_text(line)}</li>" for line in said) + "</ul>"
            continue
        said = [one.answers[key] for one in contributions if one.answers.get(key)]
        for line in said or [NOT_ANSWERED[key]]:
            yield f"<p>{safe_text(line)}</p>"
    lead = next((one.lead for one in contributions if one.lead is not None), None)
    if lead is not None:
        yield from _chart(lead, "lead-")
    yield "</section>"


def _section(section: Section, number: int) -> Iterator[str]:
    yield f'<h2 id="s{number}">{safe_text(section.title)}</h2>'
    for place, block in enumerate(section.blocks):
        yield from _block(block, f"s{number}b{place}-", 1000 * (number + 1) + place)


def _block(block: Block | Chart | Explorer, prefix: str, number: int) -> Iterator[str]:
    if isinstance(block, Chart):
        yield from _chart(block, prefix)
    elif isinstance(block, Explorer):
        yield from _explorer(block)
    else:
        yield from block_html(block, number)


def _chart(chart: Chart, prefix: str) -> Iterator[str]:
    yield f"<figure>\n{inline_svg(chart.svg, prefix, safe_text(chart.words))}"
    yield f"<figcaption>{safe_text(chart.caption)}</figcaption>"
    name = "".join(c if c.isalnum() or c == "-" else "-" for c in chart.name)
    links = [_download(f"{name}.svg", "image/svg+xml", chart.svg, "Picture (SVG)")]
    links += [_download(f"{name}.csv", "text/csv", chart.csv, "Its data (CSV)")] if chart.csv else []
    yield f'<div class="download">{"".join(links)}</div>\n</figure>'


def _download(name: str, kind: str, text: str, words: str) -> str:
    data = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    return f'<a download="{safe_text(name)}" href="data:{kind};charset=utf-8;base64,{data}">{words}</a>'


def _explorer(explorer: Explorer) -> Iterator[str]:
    data = json.dumps(explorer.problems, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    yield '<div id="explorer" hidden>\n<p><label for="search">Find a problem by its words or its name</label></p>'
    yield '<input id="search" type="search" autocomplete="off">\n<p id="count" role="status" class="note"></p>'
    yield '<ul id="hits"></ul>'
    yield '<div id="shown" class="table" tabindex="0" role="region" aria-label="Problem"></div>\n</div>'
    if explorer.left_out:
        yield f'<p class="note">{explorer.left_out:,} further problems are not in this file, to keep it small.</p>'
    yield f'<script id="problems" type="application/json">{data}</script>'

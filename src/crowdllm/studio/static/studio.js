// What makes the forms quicker. Everything works without it, by the buttons.
"use strict";

// A GET form marked data-auto is sent when a choice in it changes.
for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}

// A button that was pressed is not pressed twice.
for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button:not([type=button])");
    setTimeout(() => { if (button) button.disabled = true; }, 0);
  });
}
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
});

// How many training people are behind a choice, while it is being made.
for (const form of document.querySelectorAll("form[data-count]")) {
  const line = document.getElementById("count");
  let timer = 0, latest = 0;
  const ask = async () => {
    const mine = ++latest;
    const answer = await fetch(form.dataset.count, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok || mine !== latest) return;
    const told = await answer.json();
    line.textContent = "Behind this choice: " + told.words;
    line.classList.toggle("few", told.few);
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 150); });
}

// Fields that only some choices need.
for (const select of document.querySelectorAll("select[data-toggles]")) {
  const field = document.getElementById(select.dataset.toggles);
  const show = () => { if (field) field.hidden = select.selectedOptions[0].dataset.options !== "1"; };
  select.addEventListener("change", show);
  show();
}
for (const select of document.querySelectorAll("select[data-shows]")) {
  const field = document.getElementById(select.dataset.shows);
  const show = () => { field.hidden = select.value !== "profile"; };
  select.addEventListener("change", show);
  show();
}
for (const select of document.querySelectorAll("select[data-panels]")) {
  const panels = document.querySelectorAll(`[data-panel="${select.dataset.panels}"]`);
  const show = () => {
    for (const panel of panels) panel.hidden = !panel.dataset.for.split(" ").includes(select.value);
  };
  select.addEventListener("change", show);
  show();
}

// A fit that runs.
for (const place of document.querySelectorAll("[data-watch]")) {
  const look = async () => {
    try {
      const answer = await fetch(place.dataset.watch);
      const state = await answer.json();
      if (state.outcome !== "running") { location.reload(); return; }
      document.getElementById("stage").textContent = state.stage;
      const bar = document.getElementById("progress");
      bar.max = state.of || 1;
      bar.value = state.done;
      document.getElementById("seconds").textContent = Math.round(state.seconds);
    } catch { /* the studio is away for a moment: look again */ }
    setTimeout(look, 1000);
  };
  setTimeout(look, 700);
}

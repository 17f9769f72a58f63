"use strict";

// Everything that models, suites or jobs brought along reaches the page as text nodes or as
// attributes of known names; no string is ever parsed as markup or run.

function make(name, className, ...inside) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...inside);
  return element;
}

// --- leaderboard: sorting and the sheet of each run -------------------------------------------

function sortBy(table, button) {
  const column = Number(button.dataset.column);
  const text = button.dataset.kind === "text";
  const head = button.parentElement;
  const first = text ? "ascending" : "descending";
  const other = text ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? other : first;
  for (const each of table.tHead.rows[0].cells) each.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", order);
  const turn = order === "ascending" ? 1 : -1;
  const keyed = [...table.tBodies].map((body) => [body.rows[0].cells[column].dataset.sort, body]);
  keyed.sort(([a], [b]) => {
    if (a === "" || b === "") return Number(a === "") - Number(b === ""); // null is always last
    return turn * (text ? a.localeCompare(b, "en", { numeric: true }) : Number(a) - Number(b));
  });
  table.append(...keyed.map(([, body]) => body));
}

function toggleSheet(button) {
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
}

for (const table of document.querySelectorAll(".leaderboard")) {
  for (const button of table.querySelectorAll("thead button[data-column]")) {
    button.addEventListener("click", () => sortBy(table, button));
  }
  for (const button of table.querySelectorAll("button.unfold")) {
    toggleSheet(button);
    button.addEventListener("click", () => toggleSheet(button));
  }
}

// --- profile: which models are drawn ----------------------------------------------------------

function drawProfile(box) {
  const drawn = [];
  for (const input of box.querySelectorAll("input")) {
    const group = box.querySelector(`.model[data-model="${input.value}"]`);
    group.classList.toggle("faint", !input.checked);
    group.removeAttribute("transform");
    if (input.checked) drawn.push(group);
  }
  // Side by side, so that the stems of one ability do not hide each other; in front of the rest.
  const gap = Math.min(12, 84 / Math.max(drawn.length, 1));
  drawn.forEach((group, place) => {
    const shift = (place - (drawn.length - 1) / 2) * gap;
    group.setAttribute("transform", `translate(${shift.toFixed(1)} 0)`);
  });
  drawn.reverse().forEach((group) => group.parentElement.append(group));
}

for (const box of document.querySelectorAll("[data-profiles]")) {
  const inputs = [...box.querySelectorAll("input")];
  const first = inputs.filter((input) => input.defaultChecked);
  box.addEventListener("change", () => drawProfile(box));
  for (const button of box.querySelectorAll("button[data-show]")) {
    button.addEventListener("click", () => {
      const wanted = { all: inputs, none: [], first }[button.dataset.show];
      for (const input of inputs) input.checked = wanted.includes(input);
      drawProfile(box);
    });
  }
  drawProfile(box);
}

// --- samples ----------------------------------------------------------------------------------

const MARKS = {
  right: ["✓", "right"],
  partly: ["◐", "partly right"],
  wrong: ["✗", "wrong"],
  none: ["–", "no answer"],
};

function chip(answer) {
  const [sign, word] = MARKS[answer.mark];
  const score = answer.mark === "partly" ? ` ${answer.score.toFixed(2)}` : "";
  return make("span", `chip ${answer.mark}`, `${sign} ${word}${score}`);
}

function searchText(sample, models) {
  const parts = [sample.id, sample.question ?? "", ...(sample.choices ?? []), ...(sample.answers ?? [])];
  for (const at of models) parts.push(sample.by[at]?.text ?? "", sample.by[at]?.read ?? "");
  return parts.join("\n").toLowerCase();
}

function hasOutcome(sample, models, outcome) {
  if (!outcome) return true;
  const answers = models.map((at) => sample.by[at]).filter(Boolean);
  if (outcome === "differ") return new Set(answers.map((answer) => answer.mark)).size > 1;
  const [kind, value] = outcome.split(":");
  return answers.some((answer) => answer[kind] === value);
}

function fillSelect(select, options, kept) {
  select.replaceChildren(
    ...options.map(([value, label]) => {
      const option = make("option", "", label);
      option.value = value;
      return option;
    }),
  );
  select.value = options.some(([value]) => value === kept) ? kept : options[0][0];
}

const words = (name) => name.replaceAll("_", " ");
const distinct = (values) => [...new Set(values)];

function pictures(sample, suite) {
  const box = make("div", "pictures");
  sample.images.forEach((number, place) => {
    const image = suite.images[number];
    const caption = [sample.images.length > 1 ? `image ${place + 1} of ${sample.images.length}` : ""];
    const figure = make("figure");
    if (image.trouble) {
      caption.push(`not shown: ${image.trouble}`);
    } else {
      const img = make("img");
      const scale = Math.max(1, Math.min(4, Math.floor(288 / image.width)));
      img.width = Math.min(image.width * scale, 640);
      img.className = scale > 1 ? "small" : "";
      img.alt = `image ${place + 1} of sample ${sample.id}`;
      img.src = image.url;
      figure.append(img);
      caption.push(`${image.width} × ${image.height} pixels${image.smaller ? ", shown smaller" : ""}`);
    }
    figure.append(make("figcaption", "", caption.filter(Boolean).join(", ")));
    box.append(figure);
  });
  return box;
}

function asked(sample) {
  const box = make("div");
  if (sample.choices.length) {
    const list = make("ol", "options");
    sample.choices.forEach((choice, place) => {
      const letter = String.fromCharCode(65 + place);
      const gold = sample.answers.includes(letter);
      const item = make("li", gold ? "gold" : "", make("span", "letter", letter), make("span", "", choice));
      if (gold) item.append(make("span", "tick", "✓ correct"));
      list.append(item);
    });
    box.append(list);
    return box;
  }
  const list = make("ul", "options");
  for (const answer of sample.answers) {
    list.append(make("li", "gold", make("span", "", answer), make("span", "tick", "✓ correct")));
  }
  box.append(list);
  return box;
}

function answerRow(name, answer) {
  const row = make("tr", "", make("th", "", name));
  row.firstChild.scope = "row";
  if (!answer) {
    const cell = make("td", "empty", "not asked in this run");
    cell.colSpan = 4;
    row.append(cell);
    return row;
  }
  const said = make("td", "said");
  if (answer.text === undefined) said.append(make("span", "empty", "no text"));
  else if (answer.text === "") said.append(make("span", "empty", "(empty)"));
  else said.append(make("pre", "", answer.text));
  if (answer.length) {
    const shown = `shortened; the whole text has ${answer.length.toLocaleString("en")} characters`;
    said.append(make("span", "aside", shown));
  }
  const read = make("td", "read", answer.read ?? "–");
  if (answer.how && answer.how !== "none") read.append(make("span", "aside beside", `by ${words(answer.how)}`));
  const status = make("td", "", make("span", "status", words(answer.status)));
  if (answer.cause) status.append(make("span", "aside", answer.cause));
  if (answer.confidence !== undefined) {
    status.append(make("span", "aside beside", `confidence ${answer.confidence.toFixed(3)}`));
  }
  row.append(said, read, make("td", "", chip(answer)), status);
  return row;
}

function answerTable(sample, suite, models) {
  const head = make("tr");
  for (const name of ["Model", "What it wrote", "Read as", "Mark", "Status"]) {
    const cell = make("th", "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const rows = models.map((at) => answerRow(suite.models[at], sample.by[at]));
  return make("table", "answers", make("thead", "", head), make("tbody", "", ...rows));
}

function showSample(box, sample, suite, models) {
  const title = make("h3", "", sample.question ?? sample.id);
  const facts = [words(sample.ability), words(sample.subtask)];
  if (sample.question !== undefined) {
    facts.push(words(sample.format), `metric ${words(sample.metric)}`, `chance ${sample.chance}`);
    facts.push(`split ${sample.split}`, ...(sample.group ? [`group ${sample.group}`] : []));
    facts.push(sample.id);
  }
  box.replaceChildren(title, make("p", "what", facts.join(" · ")));
  if (suite.trouble) {
    const text = `Question and images are not shown: ${suite.trouble}`;
    box.append(make("p", "warning", text));
  }
  if (sample.question !== undefined) {
    box.append(make("div", "asked", pictures(sample, suite), asked(sample)));
  }
  box.append(make("h4", "", "Answers"), answerTable(sample, suite, models));
  box.scrollTop = 0;
}

function tally(sample, models) {
  if (models.length === 1) {
    const answer = sample.by[models[0]];
    return answer ? chip(answer) : make("span", "none", "not asked");
  }
  const asked = models.filter((at) => sample.by[at]);
  const right = asked.filter((at) => sample.by[at].mark === "right").length;
  return make("span", "tally", `${right} of ${asked.length} right`);
}

function startBrowser(suites) {
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  const box = document.getElementById("sample");
  const fields = form.elements;
  document.getElementById("no-script").remove();
  let current = null;

  const suiteNow = () => suites[Number(fields.suite.value)];
  const modelsNow = () => {
    const all = suiteNow().models.map((_, at) => at);
    return fields.model.value === "" ? all : [Number(fields.model.value)];
  };

  function refill() {
    const { models, samples } = suiteNow();
    const inAbility = samples.filter((each) => !fields.ability.value || each.ability === fields.ability.value);
    const statuses = distinct(samples.flatMap((each) => each.by.filter(Boolean).map((answer) => answer.status)));
    const named = (values) => values.map((value) => [value, words(value)]);
    fillSelect(fields.model, [["", "All models"], ...models.map((name, at) => [String(at), name])], fields.model.value);
    fillSelect(fields.ability, [["", "All abilities"], ...named(distinct(samples.map((each) => each.ability)))], fields.ability.value);
    fillSelect(fields.subtask, [["", "All"], ...named(distinct(inAbility.map((each) => each.subtask)))], fields.subtask.value);
    fillSelect(fields.outcome, [
      ["", "All"],
      ...Object.entries(MARKS).map(([mark, [, word]]) => [`mark:${mark}`, word]),
      ["differ", "models differ"],
      ...statuses.sort().map((status) => [`status:${status}`, `status ${words(status)}`]),
    ], fields.outcome.value);
  }

  function select(button, sample) {
    current = sample;
    for (const each of list.querySelectorAll('[aria-current="true"]')) each.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    showSample(box, sample, suiteNow(), modelsNow());
  }

  function entry(sample, models) {
    const where = make("span", "where", make("span", "", words(sample.subtask)), tally(sample, models));
    const button = make("button", "", make("span", "ask", sample.question ?? sample.id), where);
    button.type = "button";
    button.addEventListener("click", () => select(button, sample));
    return [button, sample];
  }

  function update() {
    refill();
    const suite = suiteNow();
    const models = modelsNow();
    const sought = fields.search.value.trim().toLowerCase();
    const found = suite.samples.filter(
      (sample) =>
        (!fields.ability.value || sample.ability === fields.ability.value) &&
        (!fields.subtask.value || sample.subtask === fields.subtask.value) &&
        hasOutcome(sample, models, fields.outcome.value) &&
        (!sought || searchText(sample, models).includes(sought)),
    );
    const entries = found.map((sample) => entry(sample, models));
    list.replaceChildren(...entries.map(([button]) => make("li", "", button)));
    const of = `${found.length} of ${suite.samples.length} samples`;
    const more = suite.total > suite.samples.length ? `; ${suite.total.toLocaleString("en")} were answered` : "";
    document.getElementById("count").textContent = of + more;
    const kept = entries.find(([, sample]) => sample === current) ?? entries[0];
    if (kept) select(...kept);
    else box.replaceChildren(make("p", "empty", "No sample passes these filters."));
  }

  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = [...list.querySelectorAll("button")];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!step || !next) return;
    event.preventDefault();
    next.focus();
    next.click();
  });
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  fillSelect(fields.suite, suites.map((suite, at) => [String(at), suite.suite]), "0");
  fields.suite.parentElement.hidden = suites.length < 2;
  update();
}

// --- curves of watched training runs ----------------------------------------------------------

function startCurves(figures) {
  const ink = getComputedStyle(document.body).color;
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  for (const box of document.querySelectorAll("[data-figure]")) {
    const { data, layout } = figures[Number(box.dataset.figure)];
    layout.font.color = ink;
    Plotly.newPlot(box, data, layout, config);
  }
  for (const bar of document.querySelectorAll("[data-switches]")) {
    const number = bar.dataset.switches;
    const box = document.querySelector(`[data-figure="${number}"]`);
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { axis, view } = button.dataset;
      const figure = figures[Number(number)];
      const [traces, layout] = axis ? figure.axes[axis] : figure.views[view];
      for (const each of button.parentElement.children) {
        each.setAttribute("aria-pressed", String(each === button));
      }
      Plotly.update(box, traces, layout);
    });
  }
}

const report = JSON.parse(document.getElementById("data").textContent);
if (report.suites.length) startBrowser(report.suites);
if (typeof Plotly !== "undefined") startCurves(report.figures);

// The overview: the report of the server as tables, and as SVG where looking is quicker than reading.

import { get } from "/client.js";
import { element } from "/render.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const ROW = 26;
const LABEL = 150; // pixels kept for names

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, String(value));
  }
  if (text !== undefined) {
    made.textContent = text;
  }
  return made;
}

const shorten = (name) => (name.length > 20 ? name.slice(0, 19) + "…" : name);
const percent = (share) => (share === null ? "–" : (100 * share).toFixed(1) + " %");
const number = (value, digits) => (value === null ? "–" : value.toFixed(digits));
const count = (share) => (share.trials === 0 ? "–" : `${percent(share.share)} of ${share.trials}`);

function picture(rows, title) {
  return shape("svg", { viewBox: `0 0 ${WIDTH} ${rows * ROW + 24}`, role: "img", "aria-label": title });
}

function table(heads, rows) {
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, String(cell)))))),
  );
}

function section(title, ...content) {
  return element("section", { "aria-label": title }, element("h2", {}, title), ...content);
}

// Judged and skipped tasks of each annotator, as bars.
function progressPlot(people) {
  const most = Math.max(1, ...people.map((person) => person.judged + person.skipped));
  const svg = picture(people.length, "judged and skipped tasks by annotator");
  people.forEach((person, row) => {
    const scale = (WIDTH - LABEL - 60) / most;
    svg.append(
      shape("text", { x: 0, y: row * ROW + 17 }, shorten(person.handle)),
      shape("rect", { class: "bar", x: LABEL, y: row * ROW + 4, width: person.judged * scale, height: ROW - 8 }),
      shape("rect", { class: "skipped", x: LABEL + person.judged * scale, y: row * ROW + 4, width: person.skipped * scale, height: ROW - 8 }),
      shape("text", { x: LABEL + (person.judged + person.skipped) * scale + 6, y: row * ROW + 17 }, person.judged),
    );
  });
  return svg;
}

// Points with whiskers on a common axis; `reference` is a dashed line.
function intervalPlot(entries, low, high, reference, format, title) {
  const svg = picture(entries.length, title);
  const x = (value) => LABEL + ((value - low) / (high - low)) * (WIDTH - LABEL - 30);
  const bottom = entries.length * ROW;
  svg.append(
    shape("line", { class: "axis", x1: LABEL, y1: bottom, x2: WIDTH - 30, y2: bottom }),
    shape("line", { class: "reference", x1: x(reference), y1: 0, x2: x(reference), y2: bottom }),
    shape("text", { x: LABEL, y: bottom + 17 }, format(low)),
    shape("text", { x: x(reference), y: bottom + 17, "text-anchor": "middle" }, format(reference)),
    shape("text", { x: WIDTH - 30, y: bottom + 17, "text-anchor": "end" }, format(high)),
  );
  entries.forEach((entry, row) => {
    const y = row * ROW + ROW / 2;
    svg.append(
      shape("text", { x: 0, y: y + 4 }, shorten(entry.name)),
      shape("line", { class: "whisker", x1: x(entry.low), y1: y, x2: x(entry.high), y2: y }),
      shape("circle", { class: "dot", cx: x(entry.value), cy: y, r: 5 }),
    );
  });
  return svg;
}

function annotators(report) {
  const rows = report.annotators.map((person) => [
    person.handle + (person.imported ? " (imported)" : ""),
    person.judged,
    person.skipped,
    person.flagged,
    number(person.median_seconds, 1),
    count(person.rest),
    count(person.gold),
    count(person.self),
  ]);
  const made = section(
    "Annotators",
    progressPlot(report.annotators),
    table(["name", "judged", "skipped", "flagged", "median s", "agrees with the rest", "right on gold", "agrees with self"], rows),
  );
  made.classList.add("wide");
  return made;
}

function agreement(report) {
  const rows = [
    ["raw agreement", count(report.agreement)],
    ["without ties", count(report.decided_agreement)],
    ["Krippendorff's alpha (ordinal)", number(report.alpha, 3)],
  ];
  const kappas = report.kappas.map((kappa) => [`${kappa.first}, ${kappa.second}`, number(kappa.kappa, 3), kappa.units]);
  return section("Agreement", table(["measure", "value"], rows), ...(kappas.length > 0 ? [table(["two annotators", "Cohen's kappa", "in common"], kappas)] : []));
}

function biases(report) {
  const entries = [
    ["shown first wins", report.first_wins],
    ["longer wins", report.longer_wins],
  ].filter(([, share]) => share.trials > 0);
  const points = entries.map(([name, share]) => ({ name, value: share.share, low: share.low, high: share.high }));
  return section(
    "Biases",
    ...(points.length > 0 ? [intervalPlot(points, 0, 1, 0.5, (value) => 100 * value + " %", "position and length bias with intervals")] : []),
    table(["bias", "share", "95 % interval"], entries.map(([name, share]) => [name, count(share), `${percent(share.low)} to ${percent(share.high)}`])),
  );
}

function leaderboard(report) {
  if (report.models.length === 0) {
    return section("Models", element("p", { class: "quiet" }, "No compared answers name the models that wrote them."));
  }
  const low = Math.min(0, ...report.models.map((model) => model.low));
  const high = Math.max(0, ...report.models.map((model) => model.high));
  const points = report.models.map((model) => ({ name: model.name, value: model.strength, low: model.low, high: model.high }));
  const rows = report.models.map((model) => [
    model.name,
    model.comparisons,
    percent(model.wins / model.comparisons),
    number(model.strength, 3),
    `${number(model.low, 3)} to ${number(model.high, 3)}`,
  ]);
  const made = section(
    "Models: Bradley-Terry strength",
    intervalPlot(points, low - 0.05, high + 0.05, 0, (value) => value.toFixed(2), "strength of the models with intervals"),
    table(["model", "comparisons", "wins", "strength", "95 % interval"], rows),
  );
  made.classList.add("wide");
  return made;
}

async function begin() {
  const figures = document.getElementById("figures");
  try {
    const report = await get("/api/overview");
    document.getElementById("totals").textContent =
      `${report.items.open} items open, ${report.items.done} done, ${report.items.closed} with labels of their own; ` + `${report.judgments} judgments, ${report.pairs} pairs, ${report.ties} ties`;
    figures.replaceChildren(annotators(report), agreement(report), biases(report), leaderboard(report));
  } catch (error) {
    const problem = document.getElementById("problem");
    problem.textContent = error.message;
    problem.hidden = false;
    figures.replaceChildren();
  }
  figures.removeAttribute("aria-busy");
}

begin();

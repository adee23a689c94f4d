// The controls of a judgment: a thumb, a scale between two answers, or a board of ranks with drag and drop. Each takes a model of
// ranking.js and calls `changed(sentence)` after the annotator changed it.

import { element } from "/render.js";

const name = (position) => "Answer " + (position + 1);

// One radio button of a group that looks like a button; Enter is left to the page.
function choice(group, value, label, hint, checked, pick) {
  const input = element("input", { type: "radio", name: group, value, checked, "aria-label": hint, onchange: pick });
  input.checked = checked;
  return element("label", { class: "choice", title: hint }, input, element("span", {}, label));
}

export function thumbControl(model, changed) {
  const pick = (thumb, sentence) => () => {
    model.thumb = thumb;
    changed(sentence);
  };
  return element(
    "fieldset",
    { class: "scale" },
    element("legend", {}, "Is this a good answer?"),
    choice("thumb", "1", "Good (1)", "good", model.thumb === 1, pick(1, "good")),
    choice("thumb", "-1", "Bad (2)", "bad", model.thumb === -1, pick(-1, "bad")),
  );
}

export function pairControl(model, changed) {
  const choices = [];
  for (let value = -model.levels; value <= model.levels; value++) {
    if (value === 0 && !model.ties) {
      continue;
    }
    const label = value === 0 ? "=" : value < 0 ? "1 " + "‹".repeat(-value) : "›".repeat(value) + " 2";
    choices.push(
      choice("pair", value, label, model.describe(value), model.choice === value, () => {
        model.choice = value;
        changed(model.describe(value));
      }),
    );
  }
  return element(
    "fieldset",
    { class: "scale" },
    element("legend", {}, "Which answer is better?"),
    ...choices,
    element("p", { class: "scale-says" }, model.choice === null ? "not decided yet" : model.describe(model.choice)),
  );
}

function button(label, hint, act) {
  return element("button", { type: "button", "aria-label": hint, title: hint, onclick: act }, label);
}

function chip(model, position, changed) {
  const rank = model.rank(position);
  const moved = (act) => () => {
    act();
    changed(model.rank(position) > 0 ? `${name(position)} has rank ${model.rank(position)}` : `${name(position)} is unranked`, position);
  };
  const handle = element("span", { class: "handle", "data-position": position }, "⠿ " + name(position));
  const made = element("li", { class: "chip", "data-chip": position }, handle);
  if (rank === 0) {
    made.append(button("Rank", `rank ${name(position)} next`, moved(() => model.append(position))));
    return made;
  }
  made.append(
    button("↑", `move ${name(position)} up`, moved(() => model.up(position))),
    button("↓", `move ${name(position)} down`, moved(() => model.down(position))),
    button("×", `leave ${name(position)} unranked`, moved(() => model.remove(position))),
  );
  return made;
}

// Pointer events instead of HTML's drag and drop: the same code serves mouse, pen and touch.
function dragging(board, model, changed) {
  let drag = null;
  const target = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-drop]") ?? null;
  const mark = (place) => {
    board.querySelectorAll(".drop-here").forEach((other) => other.classList.remove("drop-here"));
    place?.classList.add("drop-here");
  };
  board.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".handle");
    if (handle !== null && event.button === 0) {
      drag = { position: Number(handle.dataset.position), handle };
      handle.setPointerCapture(event.pointerId);
      handle.closest(".chip").classList.add("dragged");
      event.preventDefault();
    }
  });
  board.addEventListener("pointermove", (event) => {
    if (drag !== null) {
      mark(target(event));
    }
  });
  const end = (event) => {
    if (drag === null) {
      return;
    }
    const place = event.type === "pointerup" ? target(event) : null;
    const { position, handle } = drag;
    drag = null;
    mark(null);
    handle.closest(".chip").classList.remove("dragged");
    if (place !== null) {
      drop(model, position, place.dataset.drop);
      changed(model.rank(position) > 0 ? `${name(position)} has rank ${model.rank(position)}` : `${name(position)} is unranked`);
    }
  };
  board.addEventListener("pointerup", end);
  board.addEventListener("pointercancel", end);
}

function drop(model, position, where) {
  const [kind, number] = where.split(":");
  if (kind === "tray") {
    model.remove(position);
  } else if (kind === "tier") {
    model.join(position, Number(number));
  } else {
    model.insert(position, Number(number));
  }
}

export function boardControl(model, changed) {
  const board = element("div", { class: "board" });
  const gap = (index) => element("div", { class: "gap", "data-drop": "gap:" + index, "aria-hidden": true });
  const list = element("ol", { class: "tiers" });
  model.tiers.forEach((tier, index) => {
    list.append(element("li", { class: "gap-row", role: "presentation" }, gap(index)));
    const label = `rank ${index + 1}` + (tier.length > 1 ? ", a tie" : "");
    list.append(
      element(
        "li",
        { class: "tier", "data-drop": (model.ties ? "tier:" : "gap:") + index, "aria-label": label },
        element("span", { class: "tier-number" }, String(index + 1)),
        element("ul", {}, ...tier.map((position) => chip(model, position, changed))),
      ),
    );
  });
  const empty = model.tiers.length === 0 ? "drag an answer here, or press its number" : "";
  list.append(element("li", { class: "gap-row last", role: "presentation" }, element("div", { class: "gap", "data-drop": "gap:" + model.tiers.length }, empty)));
  const unranked = model.unranked();
  const tray = element("div", { class: "tray", "data-drop": "tray" }, element("span", { class: "quiet" }, unranked.length > 0 ? "Unranked" : "All are ranked"));
  tray.append(element("ul", { "aria-label": "unranked answers" }, ...unranked.map((position) => chip(model, position, changed))));
  board.append(
    element("h2", {}, "Best first" + (model.tieNext ? " – the next answer ties with the last" : "")),
    list,
    tray,
  );
  dragging(board, model, changed);
  return board;
}

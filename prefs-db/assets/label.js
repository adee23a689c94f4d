// The labelling page: login, task after task, keys, undo. What was decided lives in ranking.js, the controls in decision.js.

import { Refused, get, hasPending, insist, keep, nonce, post, sendPending } from "/client.js";
import { boardControl, pairControl, thumbControl } from "/decision.js";
import { Pair, Thumb, Tiers } from "/ranking.js";
import { element, render } from "/render.js";

const IDLE_AFTER = 60000; // milliseconds without a sign of life that still count as work
const REFRESH_EVERY = 20; // judgments between two looks at the server's own count

const SKIP_REASONS = ["too hard to judge", "I do not know the subject", "I do not know the language", "the task is broken", "I would rather not read this"];
const FLAG_LABELS = {
  spam: "spam",
  pii: "personal data",
  harmful: "harmful",
  broken: "broken or cut off",
  wrong_lang: "wrong language",
  duplicate: "same as another answer",
  other: "other",
};
const ROLE_LABELS = { system: "System", user: "User", assistant: "Assistant", tool: "Tool" };

const at = (id) => document.getElementById(id);

let state = null; // of /api/state
let task = null; // of /api/next
let model = null; // Thumb, Pair or Tiers
let flags = []; // a Set of codes per answer
let busy = false;
let sinceRefresh = 0;

// ---- Time at work: stands still while the tab is hidden or nobody moves

const timer = {
  start(already) {
    this.active = already;
    this.begun = performance.now();
    this.last = document.hidden ? null : this.begun;
  },
  // Adds what passed since the last sign of life.
  beat() {
    const now = performance.now();
    if (this.last !== null) {
      this.active += Math.min(now - this.last, IDLE_AFTER);
    }
    this.last = document.hidden ? null : now;
  },
  read() {
    this.beat();
    return { active_ms: Math.round(this.active), wall_ms: Math.round(performance.now() - this.begun) };
  },
};
document.addEventListener("visibilitychange", () => timer.beat());
for (const sign of ["keydown", "pointerdown", "wheel", "pointermove"]) {
  document.addEventListener(sign, () => timer.beat(), { passive: true });
}

// ---- What is seen

function show(id) {
  for (const other of ["login", "finished", "task"]) {
    at(other).hidden = other !== id;
  }
  at("help-button").hidden = at("logout").hidden = id === "login";
}

function say(sentence) {
  at("status").textContent = sentence;
}

function problem(sentence) {
  at("problem").textContent = sentence;
  at("problem").hidden = sentence === "";
}

const waiting = (yes) => {
  at("waiting").hidden = !yes;
};

function showProgress() {
  const all = state.judged + state.skipped + state.remaining;
  at("progress").max = Math.max(1, all);
  at("progress").value = state.judged + state.skipped;
  at("progress-text").textContent = `${state.judged} judged, ${state.remaining} to go`;
}

function showState() {
  at("project").textContent = state.project;
  document.title = state.project + " – labelling";
  at("overview-link").hidden = !state.admin;
  at("skip").hidden = !state.allow_skip;
  const there = state.guidelines_version > 0;
  at("guidelines").hidden = !there;
  if (there) {
    at("guidelines-text").replaceChildren(render(state.guidelines));
    const read = localStorage.getItem("attune.guidelines") === `${state.project} ${state.guidelines_version}`;
    at("guidelines").open = !read || window.matchMedia("(min-width: 75rem)").matches;
    localStorage.setItem("attune.guidelines", `${state.project} ${state.guidelines_version}`);
  }
  showProgress();
}

function turn(message) {
  return element("article", { class: "turn " + message.role }, element("h2", {}, ROLE_LABELS[message.role]), render(message.content));
}

function card(text, position) {
  const label = task.answers.length === 1 ? "Answer" : "Answer " + (position + 1);
  const badge = element("span", { class: "badge", id: "badge-" + position });
  return element(
    "article",
    { class: "answer", "aria-labelledby": "answer-" + position },
    element("h2", { id: "answer-" + position }, label, badge),
    render(text),
  );
}

function showDecision() {
  const control = model instanceof Thumb ? thumbControl : model instanceof Pair ? pairControl : boardControl;
  at("decision").replaceChildren(control(model, changed));
  at("submit").disabled = !model.complete();
  task.answers.forEach((_, position) => {
    const codes = [...flags[position]].map((code) => FLAG_LABELS[code]);
    const rank = model instanceof Tiers && model.rank(position) > 0 ? ["rank " + model.rank(position)] : [];
    at("badge-" + position).textContent = [...rank, ...codes.map((code) => "⚑ " + code)].join("  ");
  });
}

// After a change: draws the control anew and gives the focus back to where it was.
function changed(sentence, position) {
  const focus = document.activeElement;
  const held = focus?.matches("input[type=radio]") ? `input[name="${focus.name}"]:checked` : position === undefined ? null : `[data-chip="${position}"] button`;
  showDecision();
  if (held !== null) {
    at("decision").querySelector(held)?.focus();
  }
  say(sentence);
}

function showTask() {
  const count = task.answers.length;
  const previous = task.previous;
  model = count === 1 ? new Thumb(previous) : count === 2 ? new Pair(state.strength_levels, state.allow_ties, previous) : new Tiers(count, state.allow_ties, previous);
  flags = task.answers.map((_, position) => new Set(previous?.flags[position] ?? []));
  at("comment").value = previous?.comment ?? "";
  at("prompt").replaceChildren(...task.messages.map(turn));
  at("answers").replaceChildren(...task.answers.map(card));
  at("answers").className = count === 1 ? "one" : count === 2 ? "two" : "many";
  showDecision();
  show("task");
  document.activeElement?.blur();
  window.scrollTo(0, 0);
  timer.start(Math.max(0, previous?.active_ms ?? 0));
  say(`New task with ${count} answer${count === 1 ? "" : "s"}`);
}

// ---- What is done

// Runs one action at a time; a refusal is shown, a lost login leads to the login.
async function alone(action) {
  if (busy) {
    return;
  }
  busy = true;
  at("task").setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    if (error.status === 401) {
      showLogin(hasPending() ? "Your login has run out. Your last judgment is kept and sent after you log in." : "");
    } else {
      problem(error.message);
    }
  } finally {
    busy = false;
    at("task").removeAttribute("aria-busy");
  }
}

async function refresh() {
  state = await insist(() => get("/api/state"), waiting);
  sinceRefresh = 0;
  showState();
}

async function next() {
  await take((await insist(() => post("/api/next", {}), waiting)).task);
}

// Shows a task, or that there is none.
async function take(given) {
  task = given;
  if (task === null) {
    await refresh();
    show("finished");
    say("Nothing is left to label");
    at("finished-undo").focus();
  } else {
    showTask();
  }
}

async function send(body) {
  const remarks = { comment: at("comment").value, flags: flags.map((codes) => [...codes]) };
  keep("/api/judgment", { assignment: task.assignment, nonce: nonce(), next: true, ...remarks, ...timer.read(), ...body });
  let answer;
  try {
    answer = await sendPending(waiting);
  } catch (error) {
    if (!hasPending()) {
      // Refused for good: say why, and go on with another task.
      await next();
    }
    throw error;
  }
  state.judged += body.verdict === "ranked" ? 1 : 0;
  state.skipped += body.verdict === "skip" ? 1 : 0;
  state.remaining = Math.max(0, state.remaining - 1);
  problem("");
  sinceRefresh++;
  if (sinceRefresh >= REFRESH_EVERY) {
    await refresh();
  }
  showProgress();
  await take(answer.task);
}

const submit = () => {
  if (!model.complete()) {
    say("Nothing is decided yet");
    return undefined;
  }
  return alone(() => send({ verdict: "ranked", ...model.judgment() }));
};

const skip = (reason) => alone(() => send({ verdict: "skip", skip_reason: reason }));

const undo = () =>
  alone(async () => {
    const body = { nonce: nonce() };
    const answer = await insist(() => post("/api/undo", body), waiting);
    if (!answer.undone) {
      say("There is nothing to undo");
      return;
    }
    await refresh();
    await next();
    say("The last judgment is taken back");
  });

function showLogin(sentence) {
  problem(sentence);
  show("login");
  at("token").focus();
}

const login = () =>
  alone(async () => {
    await insist(() => post("/api/login", { token: at("token").value.trim() }), waiting);
    at("token").value = "";
    await begin();
  });

const logout = () =>
  alone(async () => {
    await insist(() => post("/api/logout", {}), waiting);
    showLogin("");
  });

async function begin() {
  problem("");
  await refresh();
  if (hasPending()) {
    // Left over from a page that was closed before the server answered.
    await sendPending(waiting);
    await refresh();
  }
  await next();
}

// ---- Dialogs

function openSkip() {
  if (state.allow_skip) {
    at("skip-dialog").showModal();
    at("skip-reasons").querySelector("button").focus();
  }
}

function chooseReason(index) {
  at("skip-dialog").close();
  skip(SKIP_REASONS[index]);
}

function openFlags() {
  const rows = task.answers.map((_, position) => {
    const boxes = state.flags.map((code) => {
      const box = element("input", {
        type: "checkbox",
        onchange: () => {
          flags[position][box.checked ? "add" : "delete"](code);
          showDecision();
        },
      });
      box.checked = flags[position].has(code);
      return element("label", {}, box, " " + FLAG_LABELS[code]);
    });
    return element("fieldset", {}, element("legend", {}, task.answers.length === 1 ? "The answer" : "Answer " + (position + 1)), ...boxes);
  });
  at("flag-rows").replaceChildren(...rows);
  at("flag-dialog").showModal();
}

function openHelp() {
  const keys = [
    ...(model instanceof Thumb ? [["1", "good"], ["2", "bad"]] : []),
    ...(model instanceof Pair ? [["1", "the first is better; again: still better"], ["2", "the second is better"]] : []),
    ...(model instanceof Tiers ? [["1 … 9", "gives that answer the next rank"], ["Backspace", "takes the last rank back"]] : []),
    ...(state.allow_ties && !(model instanceof Thumb) ? [["=", model instanceof Tiers ? "the next answer ties with the last" : "both are equal"]] : []),
    ["Enter", "submit"],
    ...(state.allow_skip ? [["s", "skip"]] : []),
    ["f", "flag answers"],
    ["c", "comment; Esc leaves it"],
    ["u", "undo"],
    ["g", "guidelines"],
    ["?", "these keys"],
  ];
  at("help-keys").replaceChildren(...keys.flatMap(([key, what]) => [element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)]));
  at("help-dialog").showModal();
}

// ---- Keys

const COMMANDS = {
  s: openSkip,
  f: openFlags,
  u: undo,
  g: () => {
    at("guidelines").open = !at("guidelines").open;
  },
  c: () => at("comment").focus(),
  "?": openHelp,
};

function taskKey(event) {
  const focus = document.activeElement;
  if (focus === at("comment")) {
    if (event.key === "Escape") {
      focus.blur();
    }
    return;
  }
  if (event.key === "Enter") {
    // A button or a link that has the focus does its own work; anything else submits.
    if (focus === null || focus.closest("button, summary, a") === null) {
      event.preventDefault();
      submit();
    }
    return;
  }
  const command = COMMANDS[event.key];
  if (command !== undefined) {
    event.preventDefault();
    command();
    return;
  }
  const sentence = busy ? null : model.key(event.key);
  if (sentence !== null) {
    event.preventDefault();
    changed(sentence);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) {
    return;
  }
  if (at("skip-dialog").open) {
    const index = Number(event.key) - 1;
    if (/^[1-9]$/.test(event.key) && index < SKIP_REASONS.length) {
      chooseReason(index);
    }
  } else if (document.querySelector("dialog[open]") !== null) {
    return;
  } else if (!at("task").hidden) {
    taskKey(event);
  } else if (!at("finished").hidden && event.key === "u") {
    undo();
  } else if (!at("login").hidden && event.key === "Enter" && document.activeElement === at("token")) {
    login();
  }
});

at("skip-reasons").append(
  ...SKIP_REASONS.map((reason, index) => element("button", { type: "button", onclick: () => chooseReason(index) }, element("kbd", {}, String(index + 1)), " " + reason)),
);
for (const close of document.querySelectorAll("[data-close]")) {
  close.addEventListener("click", () => close.closest("dialog").close());
}
at("submit").addEventListener("click", submit);
at("skip").addEventListener("click", openSkip);
at("flag").addEventListener("click", openFlags);
at("undo").addEventListener("click", undo);
at("finished-undo").addEventListener("click", undo);
at("finished-again").addEventListener("click", () => alone(next));
at("help-button").addEventListener("click", openHelp);
at("login-button").addEventListener("click", login);
at("logout").addEventListener("click", logout);

alone(begin);

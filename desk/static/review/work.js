// The page at which people work: asks for tasks, shows them, and sends what is typed before it
// goes on. What is on its way is sent again until the desk has confirmed it.

import { ask, DeskError } from "../desk.js";
import { Group } from "./group.js";
import { Keying } from "./keying.js";

const work = document.getElementById("work");
const job = work.dataset.job;
const kinds = work.dataset.kinds.split(" ");
const place = document.getElementById("screen");
const said = document.getElementById("said");
const NAMES = {
  group: "Verify the group", key: "Key from the image", second: "Second keying", audit: "Audit",
  decide: "Decide where people differ",
};
const RENEW_MS = 20000, LONGEST_PAUSE_MS = 5000, PAST = 20;

// One tab, one set of tasks: a page that is loaded again gets back the task it had.
const tab = sessionStorage.getItem("inkmill-tab")
  ?? Array.from(crypto.getRandomValues(new Uint8Array(8)), (n) => n.toString(16)).join("");
sessionStorage.setItem("inkmill-tab", tab);

let current = null, shown = null, entered = 0, renewed = Date.now();
const past = [], began = Date.now();

function say(message, isError = false) {
  said.hidden = !message;
  said.textContent = message;
  said.classList.toggle("error", isError);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Send something until the desk confirms it; throws what repeating would not mend. */
async function send(path, body) {
  for (let wait = 500; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
    try {
      const answer = await ask(`/review/${job}/${path}`, { method: "POST", body: { tab, ...body } });
      if (work.dataset.away) say("");
      delete work.dataset.away;
      return answer;
    } catch (error) {
      if (!(error instanceof DeskError) || ![0, 502, 503, 504].includes(error.status)) throw error;
      work.dataset.away = "true";
      say(`${error.message}. What you typed is kept, and is sent again.`, true);
      await pause(wait);
    }
  }
}

function count(number) {
  entered += number;
  const hours = (Date.now() - began) / 3600000;
  // A rate of the first minute says nothing yet.
  const rate = hours > 1 / 60 ? `, ${Math.round(entered / hours)} an hour` : "";
  document.getElementById("count").textContent =
    `${current?.data.waiting ?? 0} tasks to do; ${entered} fields entered here${rate}`;
}

/** Told when somebody else was first; whether that is so. */
const tellLate = (answer) => {
  if (answer.late) {
    say(`${answer.late} has this task by now: your last entry is kept, and has no effect.`, true);
  }
  return Boolean(answer.late);
};

async function next() {
  try {
    const data = await send("next", { kinds });
    if (current && current.finished) {
      past.push(current);
      past.splice(0, past.length - PAST);
    }
    if (!data.task) {
      current = shown = null;
      place.replaceChildren();
      document.getElementById("what").textContent = "Nothing waits for you";
      say("All fields are settled, or in other hands. Load this page again later.");
      return;
    }
    current = made(data);
    show(current);
    count(0);
  } catch (error) {
    fail(error);
  }
}

const hub = { send, count, tellLate, fail, finished };
const made = (data) => (data.kind === "group" ? new Group(data, hub) : new Keying(data, hub));

function show(screen) {
  shown = screen;
  const extra = screen.data.kind === "group" ? `: ${screen.data.digit}` : "";
  const again = screen === current ? "" : " (to correct; Esc returns)";
  document.getElementById("what").textContent = NAMES[screen.data.kind] + extra + again;
  place.replaceChildren(screen.element);
  screen.start();
}

/** A screen is done: go on, or return from one that was corrected. */
function finished(screen) {
  if (screen !== current) {
    if (current) show(current);
    return;
  }
  screen.finished = true;
  next();
}

function fail(error) {
  if (!(error instanceof DeskError)) throw error;
  say(error.message, true);
}

function back() {
  if (shown?.back?.()) return;
  const before = shown === current ? past.length - 1 : past.indexOf(shown) - 1;
  if (before >= 0) {
    past[before].again = true;
    show(past[before]);
  } else {
    say("There is nothing to go back to on this page.");
  }
}

// --- the page around, comments, flags, help ------------------------------------------------------

const around = document.getElementById("around");

function look(open) {
  const field = shown?.chosen();
  around.hidden = !open || !field?.around;
  if (!around.hidden) {
    around.firstElementChild.src =
      document.querySelector('meta[name="root-path"]').content + field.around;
  }
}

function dialog(title, reasons, then) {
  const asking = document.getElementById("asking"), text = document.getElementById("asking-text");
  document.getElementById("asking-title").textContent = title;
  document.getElementById("reasons").replaceChildren(
    ...reasons.map((words) => Object.assign(document.createElement("option"), { value: words })));
  text.value = reasons[0] ?? "";
  asking.returnValue = "";
  asking.onclose = () => {
    if (asking.returnValue === "send") then(text.value);
    shown?.start();
  };
  asking.showModal();
  text.select();
}

function remark(kind) {
  const screen = shown, field = screen?.chosen();
  if (!field) return;
  const flags = kind === "flagged";
  const reasons = flags ? ["page is upside down", "page is of another form", "page is not located right"] : [];
  dialog(flags ? "This page is wrong" : `Comment on ${field.field}`, reasons, async (text) => {
    try {
      const answer = await send("remark",
        { task: screen.data.task, item: field.item, field: field.field, kind, text });
      say(flags ? "The page waits for a supervisor." : "The comment is stored.");
      if (answer.left) screen.narrow(answer.left);
    } catch (error) {
      fail(error);
    }
  });
}

const help = () => document.getElementById("keys").showModal();

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const act = {
    "?": help,
    " ": () => look(true),
    "/": () => shown?.unreadable(),
    F2: () => remark("comment"),
    F4: () => remark("flagged"),
    Escape: () => current && shown !== current && show(current),
  }[event.key];
  const undo = event.key === "z" && (event.ctrlKey || event.metaKey);
  const onTool = event.target.closest?.(".tools, .top, .entries") && (event.key === " " || event.key === "Enter");
  if (onTool) return;
  if (undo) back();
  else if (act && !event.ctrlKey && !event.altKey) act();
  else if (!shown?.key(event)) return;
  event.preventDefault();
});
document.addEventListener("keyup", (event) => event.key === " " && look(false));
window.addEventListener("blur", () => look(false));

const onClick = (id, act) => document.getElementById(id)?.addEventListener("click", act);
onClick("back", back);
onClick("help", help);
onClick("unreadable", () => shown?.unreadable());
onClick("comment", () => remark("comment"));
onClick("flag", () => remark("flagged"));
onClick("page", () => look(around.hidden));
around.addEventListener("click", () => look(false));

// A lease is kept as long as somebody types or clicks; a page that is left gives it back.
async function renew() {
  if (Date.now() - renewed < RENEW_MS || !current || current.finished) return;
  renewed = Date.now();
  const answer = await ask(`/review/${job}/renew`,
    { method: "POST", body: { tab, task: current.data.task } }).catch(() => ({}));
  if (answer.late) {
    say(`${answer.late} has this task by now. Enter keeps what you typed, without effect, and goes on.`, true);
  }
}
document.addEventListener("keydown", renew);
document.addEventListener("pointerdown", renew);

next();

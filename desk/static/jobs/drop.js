// Dropped and chosen files are sent one by one, three at a time, as they are added.

import { ask, DeskError } from "../desk.js";

const AT_ONCE = 3;
const TRIES = 4;
const zone = document.getElementById("drop");
const bar = document.getElementById("sent");
const words = document.getElementById("sent-words");
const problem = document.getElementById("sent-problem");
const button = document.getElementById("hand-in");
const field = document.getElementById("submit-id");
const most = Number(zone.dataset.mostBytes);

const queue = [];
const failed = [];
const refused = [];
let known = Number(zone.dataset.files);
let total = 0;
let done = 0;
let active = 0;
let creating = null;
let away = ""; // why the desk cannot be reached, once that is sure: the rest then waits

function add(name, file) {
  if (!active) away = "";
  queue.push({ name, file });
  total += 1;
  pump();
}

/** The submit that files go to; made when the first one comes. */
function submit() {
  if (field.value) return Promise.resolve(field.value);
  creating ??= ask("/jobs/submits", { method: "POST", body: {} }).then((answer) => {
    field.value = answer.submit;
    return answer.submit;
  });
  return creating;
}

function pump() {
  show();
  while (active < AT_ONCE && queue.length) {
    active += 1;
    send(queue.shift()).finally(() => {
      active -= 1;
      pump();
    });
  }
}

async function send(each) {
  for (let attempt = 1; ; attempt += 1) {
    if (away) {
      failed.push({ ...each, why: away });
      return;
    }
    try {
      const path = `/jobs/submits/${await submit()}/files?name=${encodeURIComponent(each.name)}`;
      const tooLarge = each.file.size > most;
      // A file that is too large is only told: its row will say so.
      const body = tooLarge ? new Blob([]) : each.file;
      const headers = tooLarge ? { "X-File-Size": String(each.file.size) } : {};
      const answer = await ask(path, { method: "PUT", body, headers });
      if (!answer.kept) refused.push(each.name);
      done += 1;
      return;
    } catch (error) {
      creating = field.value ? creating : null;
      const again = error instanceof DeskError && (error.status === 0 || error.status >= 500);
      if (!again || attempt === TRIES) {
        if (again) away = error.message;
        failed.push({ ...each, why: error.message });
        return;
      }
      await new Promise((wake) => setTimeout(wake, 500 * 2 ** attempt));
    }
  }
}

function show() {
  const busy = active > 0 || queue.length > 0;
  button.disabled = busy;
  bar.hidden = total === 0;
  bar.max = Math.max(total, 1);
  bar.value = done;
  const parts = [];
  if (total) parts.push(`${done} of ${total} files sent`);
  if (known) parts.push(`${known} were here already`);
  if (refused.length) parts.push(`${refused.length} too large to be read: ${refused[0]}`);
  words.textContent = parts.length ? `${parts.join("; ")}.` : "";
  problem.hidden = failed.length === 0 || busy;
  if (failed.length && !busy) {
    problem.replaceChildren(`${failed.length} files were not sent (${failed[0].name}: ${failed[0].why}). `);
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Send them again";
    again.addEventListener("click", () => {
      const waiting = failed.splice(0);
      away = "";
      total -= waiting.length;
      waiting.forEach(({ name, file }) => add(name, file));
    });
    problem.append(again);
  }
}

/** Everything in a dropped folder; a browser lists a hundred entries at a time. */
async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((found, lost) => entry.file(found, lost));
    add(entry.fullPath.replace(/^\//, ""), file);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((found, lost) => reader.readEntries(found, lost));
    if (!part.length) return;
    for (const each of part) await walk(each);
  }
}

for (const id of ["files", "folder"]) {
  const input = document.getElementById(id);
  const take = () => {
    for (const file of input.files) add(file.webkitRelativePath || file.name, file);
    input.value = "";
  };
  input.addEventListener("change", take);
  // Chosen while this script was still loading, when nobody listened.
  if (input.files.length) take();
}

for (const kind of ["dragenter", "dragover"]) {
  zone.addEventListener(kind, (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
}
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  // Entries must be taken before the first await: the list is empty after it.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  if (entries.some(Boolean)) {
    entries.filter(Boolean).forEach((entry) => {
      walk(entry).catch((error) => {
        failed.push({ name: entry.name, file: new Blob([]), why: error.message });
        show();
      });
    });
  } else {
    for (const file of event.dataTransfer.files) add(file.name, file);
  }
});
// A file dropped beside the zone would replace the page, and with it what was typed.
for (const kind of ["dragover", "drop"]) {
  window.addEventListener(kind, (event) => event.preventDefault());
}
window.addEventListener("beforeunload", (event) => {
  if (active || queue.length) event.preventDefault();
});

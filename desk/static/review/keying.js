// The fields of a document, each with its picture: Enter takes what is typed, or the proposal.

import { ask } from "../desk.js";

const root = () => document.querySelector('meta[name="root-path"]').content;
const job = () => document.getElementById("work").dataset.job;
const DRAFT = "inkmill-draft", CHECK_MS = 150;

const element = (name, className, text = "") =>
  Object.assign(document.createElement(name), { className, textContent: text });

export class Keying {
  /** `hub` is what the page offers: send, count, tellLate, fail, finished. */
  constructor(data, hub) {
    this.data = data;
    this.hub = hub;
    this.element = element("ol", "fields");
    this.rows = data.fields.map((field) => this.#row(field));
    this.element.append(...this.rows.map((row) => row.line));
  }

  #row(field) {
    const line = element("li", ""), picture = new Image(), input = element("input", "");
    const about = element("div", "about"), problems = element("p", "problems");
    picture.src = root() + field.picture;
    picture.alt = `${field.field} as it is written`;
    input.setAttribute("aria-label", `${field.field}: what is written`);
    input.autocomplete = "off";
    input.spellcheck = false;
    input.placeholder = field.proposed;
    if (field.type !== "checkbox") input.inputMode = "numeric";
    const where = [field.source, field.page > 1 ? `page ${field.page}` : "", field.key].filter(Boolean);
    about.append(element("strong", "", field.field), element("span", "soft", where.join(", ")));
    if (field.read) about.append(element("span", "soft", `read ${field.read}`));
    if (field.proposed) about.append(element("span", "proposal", `Enter takes ${field.proposed}`));
    if (field.labels.length) about.append(element("span", "soft", `one of ${field.labels.join(", ")}`));
    if (field.reason) about.append(element("span", "soft", field.reason));
    problems.setAttribute("role", "status");
    line.append(about, picture, input, problems);
    const row = { field, line, input, problems, state: "open", text: "" };
    if (field.entries.length) line.insertBefore(this.#entries(row), problems);
    input.addEventListener("input", () => this.#typing(row));
    return row;
  }

  /** What people entered, each a button that takes it. */
  #entries(row) {
    const list = element("div", "entries");
    for (const [value, who] of row.field.entries) {
      const shown = { "": "nothing", "?": "cannot be read" }[value] ?? value;
      const button = element("button", "quiet", `${shown}: ${who.join(", ")}`);
      button.type = "button";
      button.addEventListener("click", () => {
        row.input.value = value || "_";
        this.#take(row);
      });
      list.append(button);
    }
    return list;
  }

  start() {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}");
    for (const row of this.rows) {
      const mine = draft.task === this.data.task && draft.item === row.field.item && draft.field === row.field.field;
      if (mine && row.state === "open") row.input.value = draft.text;
    }
    this.#focus(this.#next() ?? this.rows[0]);
  }

  /** The field to look at next: what the rules propose to change may settle all others. */
  #next() {
    const open = this.rows.filter((row) => row.state === "open");
    return open.find((row) => row.field.proposed !== row.field.shown) ?? open[0];
  }

  chosen() { return this.#active()?.field ?? this.data.fields[0]; }
  #active() { return this.rows.find((row) => row.input === document.activeElement); }

  #focus(row) {
    row.input.focus();
    row.input.select();
    row.line.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const row = this.#active();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") this.#take(row ?? this.rows.find((each) => each.state === "open") ?? this.rows[0]);
    else if (step && row) {
      const to = this.rows[this.rows.indexOf(row) + step];
      if (to) this.#focus(to);
    } else return false;
    return true;
  }

  unreadable() {
    const row = this.#active() ?? this.rows.find((each) => each.state === "open");
    if (row) { row.input.value = "?"; this.#take(row); }
  }

  /** Back to the answer before this field; false where the screen has none. */
  back() {
    const row = this.#active(), before = this.rows.slice(0, row ? this.rows.indexOf(row) : this.rows.length);
    const answered = before.reverse().find((each) => each.state === "done");
    if (answered) this.#focus(answered);
    return Boolean(answered);
  }

  #typing(row) {
    const { task } = this.data, { item, field } = row.field;
    sessionStorage.setItem(DRAFT, JSON.stringify({ task, item, field, text: row.input.value }));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#check(row), CHECK_MS);
  }

  async #check(row) {
    const values = this.rows
      .map((each) => ({ item: each.field.item, field: each.field.field, text: each === row ? row.input.value : each.text }))
      .filter((each) => each.text !== "");
    const answer = await ask(`/review/${job()}/check`,
      { method: "POST", body: { task: this.data.task, values } }).catch(() => ({ problems: [] }));
    const told = answer.problems.filter((each) => each.fields.includes(row.field.field));
    row.problems.textContent = told.map((each) => each.message).join("; ");
  }

  async #take(row) {
    const text = row.input.value.trim() || row.field.proposed;
    if (row.sending || row.state === "settled") return;
    if (!text) {
      row.problems.textContent = "Nothing is proposed: type what is written, _ if nothing is, / if it cannot be read.";
      return;
    }
    row.sending = true;
    const { item, field } = row.field;
    try {
      const again = row.state === "done";
      const answer = await this.hub.send("answer", { task: this.data.task, item, field, text, again });
      sessionStorage.removeItem(DRAFT);
      clearTimeout(this.timer);
      // Whoever has the task by now does the rest of it, too.
      if (this.hub.tellLate(answer)) return this.hub.finished(this);
      if (!again) this.hub.count(1);
      Object.assign(row, { state: "done", text });
      row.input.value = text;
      row.line.className = "done";
      row.problems.textContent = "";
      this.narrow(answer.left);
    } catch (error) {
      row.problems.textContent = error.message;
      this.hub.fail(error);
    } finally {
      row.sending = false;
    }
  }

  /** Only these fields are left; the others were answered, or are settled by what was typed. */
  narrow(left) {
    const places = new Set(left.map(([item, field]) => `${item}/${field}`));
    for (const row of this.rows) {
      const open = places.has(`${row.field.item}/${row.field.field}`);
      if (row.state === "done" || (row.state === "settled") !== open) continue;
      row.state = open ? "open" : "settled";
      row.line.className = open ? "" : "settled";
      row.input.disabled = !open;
      if (!open) row.problems.textContent = "";
    }
    const next = this.#next();
    if (next) this.#focus(next);
    else this.hub.finished(this);
  }
}

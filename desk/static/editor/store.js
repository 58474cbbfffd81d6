// The draft in the browser: what is edited, undo and redo, and keeping it at the desk.

import { ask } from "../desk.js";

const MOST_UNDO = 200;
/** Changes are sent when no other follows for so long (milliseconds). */
const SETTLED = 350;
/** What could not be sent is sent again after so long. */
const AGAIN = 5000;

export class Store extends EventTarget {
  constructor(id) {
    super();
    this.path = `/templates/drafts/${id}`;
    this.selected = [];
    this.problems = [];
    this.undone = [];
    this.done = [];
    this.unsent = false;
    this.sending = Promise.resolve();
  }

  get template() {
    return this.draft.template;
  }

  async open() {
    this.take(await ask(`${this.path}/draft`));
  }

  take({ draft, etag, problems }) {
    this.draft = draft;
    this.etag = etag;
    this.problems = problems;
    this.say("changed");
  }

  say(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  /** Change the template: `work` gets a copy of it, and may return what is then selected. */
  edit(work) {
    const before = this.snapshot();
    const template = structuredClone(this.template);
    const selected = work(template);
    this.draft = { ...this.draft, template };
    if (this.snapshot() === before) return;
    this.done.push(before);
    if (this.done.length > MOST_UNDO) this.done.shift();
    this.undone = [];
    if (Array.isArray(selected)) this.selected = selected;
    this.edited();
  }

  /** Keep the content of a page's code, of which a pattern is made. */
  keepCodeText(page, text) {
    this.draft = { ...this.draft, code_texts: { ...this.draft.code_texts, [page]: text } };
  }

  snapshot() {
    return JSON.stringify(this.template);
  }

  undo() {
    this.step(this.done, this.undone);
  }

  redo() {
    this.step(this.undone, this.done);
  }

  step(from, to) {
    if (!from.length) return;
    to.push(this.snapshot());
    this.draft = { ...this.draft, template: JSON.parse(from.pop()) };
    this.selected = [];
    this.edited();
  }

  select(refs) {
    this.selected = refs;
    this.say("selected");
  }

  edited() {
    this.unsent = true;
    this.say("changed");
    this.say("saving", "Unsaved");
    clearTimeout(this.timer);
    this.later(SETTLED);
  }

  /** Send soon; what goes wrong is told by the event "failed". */
  later(delay) {
    this.timer = setTimeout(() => this.flush().catch(() => {}), delay);
  }

  /** Send what was changed. Requests that change the draft go one after another. */
  flush() {
    clearTimeout(this.timer);
    return this.queue(async () => {
      if (!this.unsent) return;
      this.unsent = false;
      const sent = this.draft;
      this.say("saving", "Saving …");
      const answer = await this.put(sent).catch((error) => {
        this.unsent = true;
        this.say("saving", "Not saved");
        this.say("failed", error);
        if (error.status !== 409) this.later(AGAIN);
        throw error;
      });
      this.etag = answer.etag;
      if (this.draft === sent) {
        this.problems = answer.problems;
        this.say("saving", "Saved");
        this.say("checked");
      }
    });
  }

  put(draft) {
    return ask(`${this.path}/draft`, { method: "PUT", body: { ...this.sendable(draft), etag: this.etag } });
  }

  sendable({ template, code_texts, scans }) {
    return { template, code_texts, scans: scans.map((scan) => scan.picture) };
  }

  /** What is here becomes a draft of its own, beside the one that somebody else changed. */
  async keepMine() {
    const { location } = await ask(`${this.path}/copy`, { method: "POST", body: this.sendable(this.draft) });
    this.unsent = false;
    return location;
  }

  /** One request after another; a failed one does not stop the next. */
  queue(work) {
    const next = this.sending.catch(() => {}).then(work);
    this.sending = next;
    return next;
  }

  /** Send a file to the draft, which comes back with what became of it. */
  async send(where, file) {
    await this.flush();
    return this.queue(async () => {
      const headers = { "X-File-Name": encodeURIComponent(file.name) };
      this.take(await ask(`${this.path}/${where}`, { method: "POST", body: file, headers }));
    });
  }

  /** Ask about a place on a page. */
  about(task, values) {
    return ask(`${this.path}/about/${task}`, { method: "POST", body: values });
  }

  async dropScan(picture) {
    this.draft = { ...this.draft, scans: this.draft.scans.filter((scan) => scan.picture !== picture) };
    this.edited();
  }
}

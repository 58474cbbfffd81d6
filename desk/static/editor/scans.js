// The template on filled scans: the boxes where they are found, those off their lines in red.

import { ask, url } from "../desk.js";
import { el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** Scans are located again when nothing was changed for so long (milliseconds). */
const QUIET = 700;
/** How often is asked whether scans were read (milliseconds). */
const POLL = 500;

export class Scans {
  constructor(store, panel, dialog) {
    Object.assign(this, { store, dialog, found: new Map(), body: panel.querySelector("[data-body]") });
    this.button = panel.querySelector("[data-read]");
    this.state = panel.querySelector("[data-reading]");
    this.readings = { etag: "", scans: {} };
    this.button.addEventListener("click", () => this.read());
    store.addEventListener("changed", () => this.draw());
    store.addEventListener("checked", () => this.later());
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.locate(), QUIET);
  }

  /** Ask for each scan in turn; a change in between begins anew. */
  async locate() {
    const { store } = this;
    if (store.problems.length || store.unsent) return;
    const etag = store.etag;
    for (const { picture } of store.draft.scans) {
      const answer = await ask(`${store.path}/locate`, { method: "POST", body: { scan: picture } })
        .catch((error) => ({ message: error.message }));
      if (store.etag !== etag) return;
      this.found.set(picture, answer);
      this.draw();
    }
  }

  /** Have the scans read by a worker, and wait for what it finds. */
  async read() {
    const { store } = this, path = `${store.path}/readings`;
    this.button.disabled = true;
    this.state.textContent = "A worker is reading the scans …";
    try {
      await store.flush();
      const etag = store.etag;
      await ask(path, { method: "POST", body: {} });
      let scans = null;
      while (!scans) {
        await new Promise((wake) => setTimeout(wake, POLL));
        ({ scans } = await ask(path));
      }
      this.readings = { etag, scans };
      this.state.textContent = "Click a scan to see what was read.";
    } catch (error) {
      this.state.textContent = error.message;
    }
    this.draw();
  }

  /** What was read of a scan with the template as it is now. */
  readingOf(scan) {
    return this.readings.etag === this.store.etag ? this.readings.scans[scan.picture] : undefined;
  }

  draw() {
    this.button.disabled = !this.store.draft.scans.length || this.store.problems.length > 0;
    this.body.replaceChildren(...this.store.draft.scans.map((scan) => this.figure(scan)));
  }

  figure(scan) {
    const answer = this.found.get(scan.picture);
    const off = answer?.fields?.filter((field) => field.off).length ?? 0;
    const words = !answer ? "not located yet"
      : !answer.fields ? `${answer.code ?? ""} ${answer.message}`
        : off ? `${off} of ${answer.fields.length} fields are off their lines` : `all ${answer.fields.length} fields are on their lines`;
    const page = scan.page > 1 ? `, page ${scan.page}` : "";
    const fields = Object.values(this.readingOf(scan)?.fields ?? {});
    const doubtful = fields.filter((field) => field.status !== "ok").length;
    const read = fields.length ? `; ${fields.length} read, ${doubtful} doubtful ` : " ";
    return el("figure", { class: answer && (off || !answer.fields) ? "scan bad" : "scan" },
      el("button", { type: "button", class: "picture", "aria-label": `Enlarge ${scan.name}${page}`, onclick: () => this.enlarge(scan) }, this.overlay(scan)),
      el("figcaption", {}, `${scan.name}${page}: ${words}${read}`,
        el("button", { type: "button", class: "quiet", "aria-label": `Remove ${scan.name}`, onclick: () => this.store.dropScan(scan.picture) }, "Remove")));
  }

  overlay(scan) {
    const [width, height] = scan.size;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${scan.name} with the boxes`);
    const add = (name, attributes, text = "") => {
      const element = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      element.textContent = text;
      svg.append(element);
    };
    add("image", { href: url(`${this.store.path}/pictures/${scan.picture}.png`), width, height });
    const readings = this.readingOf(scan)?.fields ?? {};
    for (const { name, boxes, off } of this.found.get(scan.picture)?.fields ?? []) {
      for (const corners of boxes)
        add("polygon", { points: corners.map((point) => point.join(",")).join(" "), class: off ? "off" : "on" });
      const [x, y] = boxes[0][0];
      const read = readings[name];
      const words = read ? `${name}: ${read.value || "empty"}${read.status === "ok" ? "" : " ?"}` : name;
      add("text", { x, y: y - 4, class: off || (read && read.status !== "ok") ? "off" : "on" }, words);
    }
    return svg;
  }

  enlarge(scan) {
    const answer = this.found.get(scan.picture);
    this.dialog.querySelector("[data-body]").replaceChildren(
      el("p", {}, `${scan.name}: ${answer?.summary ?? answer?.message ?? "not located yet"}`), this.overlay(scan));
    this.dialog.showModal();
  }
}

// The page with its boxes, as SVG over the page's picture: drawing, pointing, zooming.

import { url } from "../desk.js";
import { signs } from "./checks.js";
import { at, items } from "./items.js";
import { registration } from "./registration.js";
import { around, between, holds, meet, middle, toPixels, toUnits } from "./units.js";

const SVG = "http://www.w3.org/2000/svg";
/** A pointer that moves less than this, in pixels of the screen, clicks. */
const CLICK = 4;
const ZOOMS = [0.125, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 4];

const make = (name, attributes = {}, text = "") => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
};

export class Canvas extends EventTarget {
  /** `stage` is the element that scrolls, `svg` the page in it. */
  constructor(store, stage, svg) {
    super();
    Object.assign(this, { store, stage, svg, tool: "select", number: 1, zoom: 0, addends: [] });
    this.layers = Object.fromEntries(
      ["paper", "boxes", "marks", "notes", "rubber"].map((name) => [name, svg.appendChild(make("g", { class: name }))]),
    );
    svg.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    addEventListener("keydown", (event) => event.code === "Space" && this.panning(event, true));
    addEventListener("keyup", (event) => event.code === "Space" && this.panning(event, false));
    for (const kind of ["changed", "selected", "checked"]) store.addEventListener(kind, () => this.draw());
  }

  get page() {
    return this.store.draft.pages.find((page) => page.number === this.number);
  }

  // --- drawing -------------------------------------------------------------------------------

  show(number) {
    this.number = number;
    this.shown = "";
    if (!this.zoom) this.fit();
    this.draw();
  }

  draw() {
    const { page, store } = this;
    if (!page || !this.zoom) return;
    const [width, height] = page.size;
    if (this.shown !== page.picture) {
      this.shown = page.picture;
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const href = url(`${store.path}/pictures/${page.picture}.png`);
      this.layers.paper.replaceChildren(make("image", { href, width, height }));
    }
    this.svg.setAttribute("width", width * this.zoom);
    this.svg.setAttribute("height", height * this.zoom);
    this.svg.style.setProperty("--thin", `${1 / this.zoom}px`);
    this.svg.style.setProperty("--text", `${12 / this.zoom}px`);
    this.drawBoxes(page);
    this.drawMarks(page);
  }

  drawBoxes(page) {
    const { store } = this;
    const template = store.template, sums = signs(template);
    const wrong = this.wrongRefs();
    const shown = [], notes = [];
    for (const item of items(template).filter((each) => each.page === page.number)) {
      const kind = item.field.type ?? "digits";
      const state = [
        "field", kind, item.table ? "repeated" : "",
        store.selected.includes(item.ref) ? "selected" : "",
        this.addends.includes(item.ref) ? "addend" : "",
        wrong.has(item.ref) ? "wrong" : "",
      ];
      const group = make("g", { class: state.filter(Boolean).join(" "), "data-ref": item.ref });
      for (const box of item.boxes) {
        const [x, y, width, height] = toPixels(page, box);
        group.append(make("rect", { x, y, width, height }));
      }
      const [x, y] = toPixels(page, item.first[0]);
      const mark = [...(sums[item.ref] ?? [])].join(" ");
      group.append(make("text", { x, y: y - 3 / this.zoom }, `${item.field.name} ${mark}`.trim()));
      shown.push(group);
      if (wrong.has(item.ref)) notes.push(this.note(page, item, wrong.get(item.ref)));
    }
    this.layers.boxes.replaceChildren(...shown);
    this.layers.notes.replaceChildren(...notes, ...this.handles(page));
  }

  /** Fields with an error, and what it says. */
  wrongRefs() {
    const found = new Map();
    for (const { path, message } of this.store.problems) {
      const ref = path[0] === "tables" ? path.slice(0, 4).join(".") : path.slice(0, 2).join(".");
      if (at(this.store.template, ref)?.cells) found.set(ref, message);
    }
    return found;
  }

  note(page, item, message) {
    const [x, y, width, height] = toPixels(page, around(item.first));
    // Towards the page's middle, so that it is not cut off at its edge.
    const right = x + width / 2 > page.size[0] / 2;
    const place = { x: right ? x + width : x, y: y + height + 15 / this.zoom, "text-anchor": right ? "end" : "start" };
    return make("text", { ...place, class: "error" }, message.slice(0, 120));
  }

  /** Handles at the corners of the only selected field. */
  handles(page) {
    const item = this.single();
    if (!item || item.page !== page.number || this.tool !== "select") return [];
    const [x, y, w, h] = toPixels(page, around(item.first));
    const side = 9 / this.zoom;
    return [["nw", x, y], ["ne", x + w, y], ["se", x + w, y + h], ["sw", x, y + h]].map(([corner, u, v]) =>
      make("rect", { class: "handle", "data-corner": corner, x: u - side / 2, y: v - side / 2, width: side, height: side }),
    );
  }

  single() {
    const [ref] = this.store.selected;
    return this.store.selected.length === 1 ? items(this.store.template).find((item) => item.ref === ref) : undefined;
  }

  drawMarks(page) {
    const { marks, code } = registration(this.store.template, page.number);
    const shown = [];
    const cross = ([x, y], size, kind) => {
      const [u, v, w] = toPixels(page, [x, y, size ?? 0, 0]);
      const half = Math.max(w / 2, 8 / this.zoom);
      shown.push(make("path", { class: kind, d: `M${u - half} ${v - half}l${2 * half} ${2 * half}m0 ${-2 * half}l${-2 * half} ${2 * half}` }));
    };
    (marks?.at ?? []).forEach((point) => cross(point, marks.size, "mark"));
    if (marks?.odd) cross(marks.odd.at, marks.odd.size ?? marks.size, "mark odd");
    if (code) {
      const [x, y, width, height] = toPixels(page, code.box);
      shown.push(make("rect", { class: "code", x, y, width, height }));
      shown.push(make("text", { class: "code", x, y: y - 3 / this.zoom }, "page code"));
    }
    this.layers.marks.replaceChildren(...shown);
  }

  // --- zoom and pan --------------------------------------------------------------------------

  fit() {
    if (this.page) this.setZoom((this.stage.clientWidth - 24) / this.page.size[0]);
  }

  setZoom(zoom, at = [this.stage.clientWidth / 2, this.stage.clientHeight / 2]) {
    const before = this.zoom || zoom, { stage } = this;
    this.zoom = Math.min(Math.max(zoom, 0.1), 5);
    const part = this.zoom / before;
    const left = (stage.scrollLeft + at[0]) * part - at[0], top = (stage.scrollTop + at[1]) * part - at[1];
    this.draw();
    stage.scrollTo(left, top);
  }

  /** The next larger (1) or smaller (-1) step. */
  stepZoom(way) {
    const next = way > 0 ? ZOOMS.find((z) => z > this.zoom * 1.01) : ZOOMS.findLast((z) => z < this.zoom * 0.99);
    if (next) this.setZoom(next);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { left, top } = this.stage.getBoundingClientRect();
    this.setZoom(this.zoom * Math.exp(-event.deltaY / 400), [event.clientX - left, event.clientY - top]);
  }

  panning(event, on) {
    if (on && (event.target.closest?.("input, textarea, select, button, summary, a") || event.repeat)) return;
    if (on && event.target.closest?.(".stage")) event.preventDefault();
    this.stage.classList.toggle("panning", on);
  }

  /** Scroll so that a box (in units) can be seen. */
  reveal(item) {
    const [x, y, w, h] = toPixels(this.page, around(item.first)).map((value) => value * this.zoom);
    const { stage } = this, margin = 60;
    const inside = x - margin >= stage.scrollLeft && x + w + margin <= stage.scrollLeft + stage.clientWidth &&
      y - margin >= stage.scrollTop && y + h + margin <= stage.scrollTop + stage.clientHeight;
    if (!inside) stage.scrollTo(x + w / 2 - stage.clientWidth / 2, y + h / 2 - stage.clientHeight / 2);
  }

  // --- the pointer ---------------------------------------------------------------------------

  /** Where a pointer is, in pixels of the page's picture. */
  point(event) {
    const { left, top } = this.svg.getBoundingClientRect();
    return [(event.clientX - left) / this.zoom, (event.clientY - top) / this.zoom];
  }

  down(event) {
    if (!this.page) return;
    const pan = event.button === 1 || this.stage.classList.contains("panning");
    if (event.button > 1) return;
    event.preventDefault();
    this.stage.focus({ preventScroll: true });
    const gesture = pan ? this.pan(event) : this.gesture(event);
    const from = [event.clientX, event.clientY];
    let moved = false;
    this.svg.setPointerCapture(event.pointerId);
    const move = (next) => {
      moved ||= Math.hypot(next.clientX - from[0], next.clientY - from[1]) >= CLICK;
      if (moved) gesture.move?.(this.point(next), next);
    };
    const end = (next) => {
      this.svg.removeEventListener("pointermove", move);
      this.svg.removeEventListener("pointerup", end);
      this.svg.removeEventListener("pointercancel", end);
      this.layers.rubber.replaceChildren();
      if (next.type === "pointercancel") return this.draw();
      if (moved) gesture.end?.(this.point(next), next);
      else gesture.click?.(this.point(next), next);
    };
    this.svg.addEventListener("pointermove", move);
    this.svg.addEventListener("pointerup", end);
    this.svg.addEventListener("pointercancel", end);
  }

  pan(event) {
    const { stage } = this;
    const from = [event.clientX, event.clientY, stage.scrollLeft, stage.scrollTop];
    return { move: (_, next) => stage.scrollTo(from[2] + from[0] - next.clientX, from[3] + from[1] - next.clientY) };
  }

  /** What pointing does with the present tool. */
  gesture(event) {
    const start = this.point(event);
    const ref = event.target.closest?.("[data-ref]")?.dataset.ref;
    const corner = event.target.dataset?.corner;
    if (this.tool === "select" && corner) return this.resize(corner);
    if (this.tool === "select" && ref && !event.shiftKey) return this.drag(start, ref);
    return {
      move: (to) => this.rubber(between(start, to)),
      end: (to, next) => this.send("area", { area: between(start, to), tool: this.tool, shift: next.shiftKey }),
      click: (to, next) => this.send("point", { at: to, ref, tool: this.tool, shift: next.shiftKey }),
    };
  }

  /** Move the selected fields; a click selects one. */
  drag(start, ref) {
    const { store, page } = this;
    const mine = store.selected.includes(ref) ? store.selected : [ref];
    const chosen = items(store.template).filter((item) => mine.includes(item.ref));
    const boxes = chosen.flatMap((item) => item.boxes).map((box) => toPixels(page, box));
    const off = (to) => [to[0] - start[0], to[1] - start[1]];
    return {
      move: (to) => this.rubber(...boxes.map(([x, y, w, h]) => [x + off(to)[0], y + off(to)[1], w, h])),
      end: (to) => {
        store.selected = mine;
        const [dx, dy] = off(to), { box, size } = page;
        this.send("moved", { by: [(dx * box[2]) / size[0], (dy * box[3]) / size[1]] });
      },
      click: () => this.send("point", { at: start, ref, tool: "select", shift: false }),
    };
  }

  resize(corner) {
    const item = this.single();
    const from = around(item.first), [x, y, w, h] = toPixels(this.page, from);
    const held = [corner.includes("w") ? x + w : x, corner.includes("n") ? y + h : y];
    return {
      move: (to) => this.rubber(between(held, to)),
      end: (to) => this.send("resized", { from, to: toUnits(this.page, between(held, to)) }),
    };
  }

  rubber(...boxes) {
    this.layers.rubber.replaceChildren(
      ...boxes.map(([x, y, width, height]) => make("rect", { class: this.tool, x, y, width, height })),
    );
  }

  send(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  /** The fields of this page that an area, in pixels, touches. */
  touched(area) {
    const units = toUnits(this.page, area);
    return items(this.store.template)
      .filter((item) => item.page === this.number)
      .filter((item) => item.boxes.some((box) => meet(units, box) && (holds(units, middle(box)) || item.cells === 1)))
      .map((item) => item.ref);
  }
}

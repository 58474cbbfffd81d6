// The template editor: tools and keys, put together of the page, the panels and the scans.

import { ask, url } from "../desk.js";
import { Canvas } from "./canvas.js";
import * as checks from "./checks.js";
import { el } from "./dom.js";
import * as edits from "./edits.js";
import { at, inReadingOrder, items } from "./items.js";
import { listen, table } from "./keys.js";
import { Panels } from "./panels.js";
import * as places from "./registration.js";
import { Scans } from "./scans.js";
import { Store } from "./store.js";
import { around, fittedCells, toPixels, toUnits } from "./units.js";

const root = document.getElementById("editor");
const find = (name) => root.querySelector(`[data-${name}]`);
const store = new Store(root.dataset.draft);
const canvas = new Canvas(store, find("stage"), root.querySelector("svg[data-page]"));
const panels = new Panels(store, root, { select, focusName, run });
new Scans(store, root.querySelector('[data-panel="scans"]'), root.querySelector('[data-dialog="scan"]'));

const HINTS = {
  select: "Click a box, or draw around several. Drag to move, drag a corner to resize.",
  box: "Draw around boxes that belong to one number: they snap to the printed lines.",
  erase: "Draw over boxes or marks that are none.",
  sum: "Click or draw around the numbers that are added, then click their total with Shift held.",
  mark: "Click a printed mark: a square, a disc, a cross or an L.",
  code: "Draw around the page code.",
};

// --- doing things ------------------------------------------------------------------------------

const said = (text) => { find("said").textContent = text; };

function fail(error) {
  find("error").textContent = error.message;
  find("error").hidden = false;
}

/** Run something that asks the desk; what goes wrong is shown. */
async function attempt(work) {
  find("error").hidden = true;
  try {
    await work();
  } catch (error) {
    fail(error);
  }
}

function select(refs) {
  const item = items(store.template).find(({ ref }) => ref === refs.at(-1));
  if (item && item.page !== canvas.number) showPage(item.page);
  store.select(refs);
  if (item) {
    canvas.reveal(item);
    said(`${item.field.name}, ${item.cells} cells, ${item.field.type ?? "digits"}`);
  }
}

function focusName() {
  const input = root.querySelector('[name="field-name"]');
  input?.focus();
  input?.select();
}

const chosen = () => items(store.template).filter(({ ref }) => store.selected.includes(ref));
const wantedCells = () => Number(root.querySelector('[name="count"]').value) || 0;

const COMMANDS = {
  undo: () => store.undo(),
  redo: () => store.redo(),
  "zoom-in": () => canvas.stepZoom(1),
  "zoom-out": () => canvas.stepZoom(-1),
  fit: () => canvas.fit(),
  help: () => root.querySelector('[data-dialog="help"]').showModal(),
  save,
  "keep-mine": async () => location.assign(url(await store.keepMine())),
  delete: () => store.edit((template) => { edits.remove(template, store.selected); return []; }),
  group: () => store.selected.length > 1 && store.edit((template) => [edits.group(template, store.selected, groupType())]),
  ungroup: () => store.selected.length === 1 && store.edit((template) => edits.ungroup(template, store.selected[0])),
  untable: () => store.edit((template) => edits.untable(template, store.selected[0])),
  "copy-down": copyDown,
  split: () => snapSelected(wantedCells()),
  snap: () => snapSelected(Math.max(...chosen().map(({ cells }) => cells))),
  "sum-of": () => { canvas.addends = [...store.selected]; useTool("sum"); store.select([]); },
  name: focusName,
  all: () => select(items(store.template).filter(({ page }) => page === canvas.number).map(({ ref }) => ref)),
  next: () => step(1),
  previous: () => step(-1),
  none: () => { canvas.addends = []; select([]); useTool("select"); },
  add: addInView,
};

function run(what) {
  attempt(async () => COMMANDS[what]());
}

function step(way) {
  const order = inReadingOrder(items(store.template));
  const place = order.findIndex(({ ref }) => store.selected.includes(ref));
  const next = order[(place + way + order.length) % order.length] ?? order[0];
  if (next) select([next.ref]);
}

/** Squares become check boxes, unless one of them is known to be something else. */
function groupType() {
  return chosen().every(({ field }) => ["checkbox", undefined].includes(field.type)) && chosen().some(({ field }) => field.type === "checkbox")
    ? "checkbox" : undefined;
}

async function copyDown() {
  const mine = chosen().filter(({ table }) => !table);
  if (!mine.length) return;
  const page = store.draft.pages.find(({ number }) => number === mine[0].page);
  const rectangle = toPixels(page, around(mine.flatMap(({ first }) => first)));
  const { offsets } = await store.about("rows", { page: page.number, rectangle, count: wantedCells() });
  if (offsets.length < 2) throw new Error("No row below is printed like this one: say how many there are in the field Cells");
  store.edit((template) => edits.copyDown(template, store.selected, offsets));
}

/** Put the selected field on the printed lines, in `count` cells. */
async function snapSelected(count) {
  const item = canvas.single();
  if (!item) return;
  await snap(toPixels(canvas.page, around(item.first)), count, (template, cells) => {
    at(template, item.ref).cells = cells;
  });
}

async function snap(rectangle, count, work) {
  const { cells, lined } = await store.about("snap", { page: canvas.number, rectangle, count });
  store.edit((template) => work(template, cells, lined));
}

async function draw(area) {
  await snap(area, wantedCells(), (template, cells, lined) => {
    const field = { name: checks.freeName(template), cells };
    if (canvas.number > 1) field.page = canvas.number;
    if (!lined) field.lined = false;
    return [edits.add(template, field)];
  });
  focusName();
}

/** A new box in the middle of what is seen, for the keyboard. */
function addInView() {
  const { stage, zoom } = canvas;
  const side = 40 / zoom;
  const x = (stage.scrollLeft + stage.clientWidth / 2) / zoom, y = (stage.scrollTop + stage.clientHeight / 2) / zoom;
  return draw([x - side / 2, y - side / 2, side, side]);
}

// --- the pointer -------------------------------------------------------------------------------

canvas.addEventListener("area", ({ detail: { area, tool, shift } }) => {
  const units = toUnits(canvas.page, area);
  const touched = canvas.touched(area);
  if (tool === "select") select(shift ? [...new Set([...store.selected, ...touched])] : touched);
  if (tool === "box") attempt(() => draw(area));
  if (tool === "erase") erase(units);
  if (tool === "sum") addend(touched);
  if (tool === "code") attempt(() => readCode(area));
});

canvas.addEventListener("point", ({ detail: { at: place, ref, tool, shift } }) => {
  if (tool === "select") {
    if (!ref) select([]);
    else if (!shift) select([ref]);
    else select(store.selected.includes(ref) ? store.selected.filter((each) => each !== ref) : [...store.selected, ref]);
  }
  if (tool === "erase" && ref) store.edit((template) => { edits.remove(template, [ref]); return []; });
  if (tool === "mark") attempt(() => addMark(place));
  if (tool === "sum" && ref) shift ? total(ref) : addend([ref]);
});

canvas.addEventListener("moved", ({ detail: { by } }) => store.edit((template) => edits.move(template, store.selected, ...by)));
canvas.addEventListener("resized", ({ detail: { from, to } }) =>
  store.edit((template) => {
    const field = at(template, store.selected[0]);
    field.cells = fittedCells(field.cells, from, to);
  }));

function erase(units) {
  let gone = 0;
  store.edit((template) => {
    gone = edits.erase(template, canvas.number, units) + places.removeMarks(template, canvas.number, units);
    return [];
  });
  said(`${gone} boxes or marks removed`);
}

function addend(refs) {
  const set = new Set(canvas.addends);
  for (const ref of refs) set.has(ref) && refs.length === 1 ? set.delete(ref) : set.add(ref);
  canvas.addends = [...set];
  canvas.draw();
  hint(`${checks.namesOf(store.template, canvas.addends).length} numbers are added. Click their total with Shift held.`);
}

function total(ref) {
  const addends = canvas.addends.filter((each) => each !== ref);
  if (!addends.length) return fail(new Error("First click the numbers that are added, then their total with Shift held"));
  canvas.addends = [];
  store.edit((template) => checks.addSum(template, addends, ref));
  useTool("sum");
}

async function addMark(place) {
  const mark = await store.about("mark", { page: canvas.number, at: place });
  store.edit((template) => places.addMark(template, canvas.number, mark));
}

async function readCode(area) {
  const { kind, text, box } = await store.about("code", { page: canvas.number, rectangle: area });
  store.keepCodeText(canvas.number, text);
  store.edit((template) => places.setCode(template, canvas.number, { kind, box, ...(text && { value: text }) }));
  if (!text) throw new Error("No code could be read there: its place is kept; draw it again on a better scan to use its text");
  useTool("select");
}

/** Move what is selected by (x, y) pixels of the page, or change its size. */
function nudge([x, y], resize) {
  const { box, size } = canvas.page;
  const dx = (x * box[2]) / size[0], dy = (y * box[3]) / size[1];
  if (!store.selected.length) return;
  store.edit((template) => {
    if (!resize) return edits.move(template, store.selected, dx, dy);
    for (const { ref, first } of chosen()) {
      const field = at(template, ref), from = around(first);
      const to = [from[0], from[1], Math.max(dx + from[2], box[2] / 1000), Math.max(dy + from[3], box[3] / 1000)];
      field.cells = fittedCells(field.cells, from, to);
    }
  });
}

// --- the bar and the tabs ----------------------------------------------------------------------

const hint = (text) => { find("hint").textContent = text; };

function useTool(tool) {
  canvas.tool = tool;
  if (tool !== "sum") canvas.addends = [];
  root.querySelector(`[name="tool"][value="${tool}"]`).checked = true;
  find("stage").dataset.tool = tool;
  hint(HINTS[tool]);
  canvas.draw();
}

function showPage(number) {
  canvas.show(number);
  tabs();
}

function tabs() {
  const { pages } = store.draft;
  const file = el("input", { type: "file", accept: "image/*,.pdf,.tif,.tiff", onchange: (event) => sendAll("pages", event.target) });
  find("tabs").replaceChildren(
    ...(pages.length > 1 ? pages : []).map(({ number }) =>
      el("button", { type: "button", class: "quiet", "aria-pressed": String(number === canvas.number), onclick: () => { store.select([]); showPage(number); } }, `Page ${number}`)),
    el("label", { class: "button quiet-link file" }, "Add pages ", file),
  );
}

async function sendAll(where, input) {
  const files = [...input.files];
  input.value = "";
  hint(`Reading ${files.map(({ name }) => name).join(", ")} …`);
  await attempt(async () => {
    for (const file of files) await store.send(where, file);
  });
  hint(HINTS[canvas.tool]);
  store.say("checked");
}

async function save() {
  await store.flush();
  const { name, remarks } = await ask(`${store.path}/save`, { method: "POST", body: {} });
  const notes = remarks.length ? ` To consider: ${remarks.join("; ")}.` : "";
  hint(`The template ${name} is saved for this desk.${notes}`);
  store.say("saving", "Template saved");
}

root.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", () => run(button.dataset.do)));
root.querySelectorAll('[name="tool"]').forEach((radio) => radio.addEventListener("change", () => { useTool(radio.value); find("stage").focus(); }));
root.querySelector("[data-scan-file]").addEventListener("change", (event) => sendAll("scans", event.target));
find("keys").replaceChildren(
  ...table.map(([key, words]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, key)), el("td", {}, words))));
listen({ stage: find("stage"), useTool, run, nudge });

find("download").addEventListener("click", async (event) => {
  if (!store.unsent && !store.problems.length) return;
  event.preventDefault();
  await attempt(async () => {
    await store.flush();
    if (store.problems.length) throw new Error(`The template is not complete yet: ${store.problems[0].message}`);
    event.target.click();
  });
});

store.addEventListener("saving", ({ detail }) => { find("saving").textContent = detail; });
store.addEventListener("failed", ({ detail }) => {
  fail(detail);
  find("second").hidden = detail.status !== 409;
});
store.addEventListener("changed", () => {
  find("form-name").textContent = store.template.name ?? "form";
  root.querySelector('[data-do="undo"]').disabled = !store.done.length;
  root.querySelector('[data-do="redo"]').disabled = !store.undone.length;
  if (canvas.zoom) tabs();
});
addEventListener("beforeunload", (event) => { if (store.unsent) { store.later(0); event.preventDefault(); } });
addEventListener("visibilitychange", () => { if (document.hidden && store.unsent) store.later(0); });
addEventListener("resize", () => canvas.draw());

attempt(async () => {
  await store.open();
  showPage(store.draft.pages[0]?.number ?? 1);
  useTool("select");
  store.say("checked");
});

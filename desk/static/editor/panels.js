// The panels beside the page: what is selected, all fields, the form.

import * as checks from "./checks.js";
import { choice, el, labelled } from "./dom.js";
import * as edits from "./edits.js";
import { at, inReadingOrder, items } from "./items.js";
import * as places from "./registration.js";
import { asLines, fromLines } from "./rules.js";

const TYPES = [
  ["digits", "digits, as written"], ["number", "number (005 is 5)"], ["code", "code (005 is 005)"],
  ["checkbox", "check boxes"], ["image", "picture, not read"],
];
const UNUSED = [["no", "none"], ["leading", "in front"], ["trailing", "behind"], ["either", "on both sides"]];
const NONE = [["", "no mark"], ["X", "X"], ["-", "dash"], ["both", "X or dash"]];

export class Panels {
  constructor(store, root, { select, focusName, run }) {
    Object.assign(this, { store, select, focusName, run });
    this.part = (name) => root.querySelector(`[data-panel="${name}"]`);
    store.addEventListener("changed", () => this.draw());
    store.addEventListener("selected", () => this.draw());
    store.addEventListener("checked", () => this.problems());
  }

  draw() {
    this.problems();
    this.selection();
    this.fields();
    this.form();
  }

  // --- what is wrong -------------------------------------------------------------------------

  problems() {
    const { problems, template, draft } = this.store;
    const part = this.part("problems");
    const notes = problems.length ? [] : draft.notes;
    part.hidden = !problems.length && !notes.length;
    part.querySelector("ul").replaceChildren(
      ...problems.map(({ path, message }) => {
        const ref = path[0] === "tables" ? path.slice(0, 4).join(".") : path.slice(0, 2).join(".");
        const field = at(template, ref);
        return el("li", {}, field?.cells
          ? el("button", { type: "button", class: "link", onclick: () => this.select([ref]) }, `${field.name}: ${message}`)
          : message);
      }),
      ...notes.map((note) => el("li", { class: "soft" }, note)),
    );
  }

  // --- the selected fields -------------------------------------------------------------------

  selection() {
    const { store } = this;
    const body = this.part("selection").querySelector("[data-body]");
    const chosen = items(store.template).filter((item) => store.selected.includes(item.ref));
    // What is being typed stays: the panel is drawn again when the field is left.
    if (body.contains(document.activeElement) && body.dataset.refs === String(store.selected) && this.typing()) return;
    body.dataset.refs = String(store.selected);
    if (!chosen.length) {
      body.replaceChildren(el("p", { class: "soft" }, "Click a box, or draw around several."));
      return;
    }
    body.replaceChildren(...this.naming(chosen), ...this.details(chosen), ...this.actions(chosen));
  }

  typing() {
    return ["INPUT", "TEXTAREA"].includes(document.activeElement.tagName);
  }

  naming(chosen) {
    const one = chosen.length === 1;
    const input = el("input", {
      value: one ? chosen[0].field.name : "", name: "field-name", autocomplete: "off", spellcheck: false,
      placeholder: one ? "" : `votes gives votes_01 to votes_${String(chosen.length).padStart(2, "0")}`,
    });
    const keep = () => {
      const typed = input.value.trim();
      if (typed && !(one && typed === chosen[0].field.name))
        this.store.edit((template) => checks.name(template, chosen.map(({ ref }) => ref), typed));
    };
    input.addEventListener("change", keep);
    // A click into the name replaces it, as it does in spreadsheets.
    input.addEventListener("pointerdown", () => {
      if (document.activeElement === input) return;
      input.addEventListener("pointerup", () => input.select(), { once: true });
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      keep();
      this.next(chosen, event.shiftKey ? -1 : 1);
    });
    return labelled(one ? "Name" : `Name of ${chosen.length} fields, numbered down`, input);
  }

  /** Go on to the next field in reading order, ready to be named. */
  next(chosen, way) {
    const order = inReadingOrder(items(this.store.template));
    const places = chosen.map(({ ref }) => order.findIndex((item) => item.ref === ref));
    const next = order[way > 0 ? Math.max(...places) + 1 : Math.min(...places) - 1];
    if (!next) return;
    document.activeElement.blur();
    this.select([next.ref]);
    this.focusName();
  }

  details(chosen) {
    const refs = chosen.map(({ ref }) => ref);
    const common = (key, otherwise) => {
      const values = new Set(chosen.map(({ field }) => JSON.stringify(field[key] ?? otherwise)));
      return values.size === 1 ? JSON.parse([...values][0]) : undefined;
    };
    const set = (key, value) => this.store.edit((template) => edits.set(template, refs, key, value));
    const type = common("type", "digits");
    const parts = [labelled("Type", choice(withMixed(TYPES, type), type ?? "", (value) => value && set("type", value)))];
    if (["digits", "number", "code"].includes(type)) parts.push(...this.ofDigits(common, set));
    if (type === "checkbox") parts.push(...this.ofCheckboxes(chosen, common, set));
    if (chosen.every(({ table }) => table) && new Set(chosen.map(({ table }) => table)).size === 1) parts.push(this.rows(chosen[0]));
    return parts.flat(Infinity);
  }

  ofDigits(common, set) {
    const unused = common("unused", "no"), none = common("none", null);
    const shown = none === undefined ? undefined : Array.isArray(none) ? "both" : (none ?? "");
    const marks = (value) => set("none", value === "both" ? ["X", "-"] : value || undefined);
    return [
      labelled("Cells that may be empty", choice(withMixed(UNUSED, unused), unused ?? "", (value) => value && set("unused", value === "no" ? undefined : value))),
      labelled("Mark in cells that are not used", choice(withMixed(NONE, shown), shown ?? "", marks)),
      this.flag("The field may be left empty", common("optional", false), (on) => set("optional", on || undefined)),
      this.flag("An empty field means 0", common("empty", "missing") === "zero", (on) => set("empty", on ? "zero" : undefined)),
      this.flag("Boxes are printed", common("lined", true), (on) => set("lined", on ? undefined : false)),
      labelled("Rules, one a line, such as range: 0-999", el("textarea", {
        rows: 2, spellcheck: false,
        onchange: (event) => {
          const rules = fromLines(event.target.value);
          set("rules", rules.length ? rules : undefined);
        },
      }, asLines(common("rules", [])))),
    ];
  }

  ofCheckboxes(chosen, common, set) {
    const labels = el("input", {
      value: (common("labels", []) ?? []).join(", "), placeholder: "yes, no",
      onchange: (event) => {
        const words = event.target.value.split(",").map((word) => word.trim()).filter(Boolean);
        set("labels", words.length ? words : undefined);
      },
    });
    return [
      labelled("Labels of the boxes, in order", labels),
      this.flag("Exactly one box is ticked", common("choose", "any") === "one", (on) => set("choose", on ? "one" : undefined)),
      this.flag("The field may be left empty", common("optional", false), (on) => set("optional", on || undefined)),
    ];
  }

  flag(text, on, change) {
    return el("label", { class: "flag" },
      el("input", { type: "checkbox", checked: Boolean(on), onchange: (event) => change(event.target.checked) }), ` ${text}`);
  }

  rows({ ref, table }) {
    const [, index] = ref.split(".");
    const count = el("input", {
      type: "number", min: "1", max: "500", value: String(table.rows.count),
      onchange: (event) => this.store.edit((template) => {
        template.tables[index].rows.count = Number(event.target.value) || 1;
      }),
    });
    return labelled("Rows of the table", count);
  }

  actions(chosen) {
    const many = chosen.length > 1, table = chosen.some((item) => item.table);
    const button = (words, what, title) => el("button", { type: "button", class: "quiet", title, onclick: () => this.run(what) }, words);
    return [el("p", { class: "actions" },
      table ? button("Rows as fields", "untable", "Make fields of the table's rows") : button("Copy down", "copy-down", "Repeat for all rows printed below (D)"),
      !table && many ? button("Group", "group", "Make one field of these boxes (G)") : null,
      !table && !many && chosen[0].cells > 1 ? button("Ungroup", "ungroup", "Make a field of each box") : null,
      !table && !many ? button("Split", "split", "Divide into as many cells as the tools say (X)") : null,
      button("Sum of these", "sum-of", "Then click the total"),
      el("button", { type: "button", class: "quiet danger", title: "Remove (Delete)", onclick: () => this.run("delete") }, "Remove"),
    )];
  }

  // --- all fields ----------------------------------------------------------------------------

  fields() {
    const { store } = this;
    const part = this.part("fields");
    const all = inReadingOrder(items(store.template));
    part.querySelector("[data-count]").textContent =
      `(${all.length}, ${all.reduce((sum, item) => sum + item.boxes.length, 0)} boxes)`;
    part.querySelector("ol").replaceChildren(
      ...all.map(({ ref, field, table, cells }) => {
        const rows = table ? `${table.rows.count} rows × ` : "";
        return el("li", {}, el("button", {
          type: "button", class: "link", "aria-pressed": String(store.selected.includes(ref)),
          onclick: (event) => this.select(event.shiftKey ? [...store.selected, ref] : [ref]),
        }, field.name), el("span", { class: "soft" }, ` ${rows}${cells} ${field.type ?? "digits"}`));
      }),
    );
  }

  // --- the form ------------------------------------------------------------------------------

  form() {
    const body = this.part("form").querySelector("[data-body]");
    if (body.contains(document.activeElement) && this.typing()) return;
    const { template } = this.store;
    const edit = (work) => this.store.edit(work);
    const name = el("input", {
      value: template.name ?? "", name: "form-name", spellcheck: false,
      onchange: (event) => edit((copy) => { copy.name = event.target.value.trim(); }),
    });
    body.replaceChildren(...[labelled("Name of the form", name), this.marks(), this.keys(), this.checks()].flat(Infinity));
  }

  marks() {
    const marks = (number) => places.registration(this.store.template, number).marks;
    const lines = this.store.draft.pages.map(({ number }) => {
      const found = marks(number);
      return `page ${number}: ${found ? `${found.at.length} marks (${found.shape ?? "square"})` : "no marks"}`;
    });
    return [el("h3", {}, "Marks"), el("p", { class: "soft" }, `${lines.join("; ")}. Add them with the tool Mark, remove them with Erase.`)];
  }

  keys() {
    const { template } = this.store;
    const fields = items(template).filter(({ field, table }) => !table && ["code", "number", "digits", undefined].includes(field.type));
    const key = template.document_key;
    const value = key?.from === "field" ? `field:${key.field}` : (key?.from ?? "");
    const choices = [["", "none"], ["source", "the file's path"], ["code", "the page code"], ...fields.map(({ field }) => [`field:${field.name}`, `field ${field.name}`])];
    const change = (chosen) => this.store.edit((copy) => {
      if (!chosen) delete copy.document_key;
      else if (chosen.startsWith("field:")) copy.document_key = { from: "field", field: chosen.slice(6) };
      else copy.document_key = { from: chosen };
    });
    return [...this.codes(), labelled("Key of a document", choice(choices, value, change))];
  }

  codes() {
    return this.store.draft.pages.flatMap(({ number }) => {
      const { code } = places.registration(this.store.template, number);
      return code ? [el("h3", {}, `Page code, page ${number}`), ...this.code(number, code)] : [];
    });
  }

  /** The code's text, of which parts can be coloured: the document, the page. */
  code(number, code) {
    const text = this.store.draft.code_texts[number] ?? code.value ?? "";
    const parts = code.pattern ? places.partsOf(text, code.pattern) : [];
    const input = el("input", { value: text, readOnly: true, spellcheck: false });
    const colour = (group) => {
      const [start, end] = [input.selectionStart, input.selectionEnd];
      if (start === end) return;
      const kept = parts.filter((part) => part.group !== group && (part.end <= start || part.start >= end));
      this.setCode(number, { ...code, value: undefined, pattern: places.patternOf(text, [...kept, { group, start, end }]) });
    };
    const whole = () => this.setCode(number, { ...code, pattern: undefined, value: text });
    // Pressing a button must not end the selection in the text.
    const button = (words, press) => el("button", { type: "button", class: "quiet", onmousedown: (event) => event.preventDefault(), onclick: press }, words);
    return [
      labelled(`Text of the ${code.kind ?? "any"} code: select a part, then say what it is`, input),
      coloured(text, parts),
      el("p", { class: "actions" }, button("is the document", () => colour("document")), button("is the page", () => colour("page")),
        button("is always the same", whole),
        el("button", { type: "button", class: "quiet danger", onclick: () => this.store.edit((copy) => places.setCode(copy, number, null)) }, "Remove the code")),
    ];
  }

  setCode(number, { value, pattern, ...rest }) {
    const code = { ...rest, ...(value && { value }), ...(pattern && { pattern }) };
    this.store.edit((copy) => places.setCode(copy, number, code));
  }

  checks() {
    const all = this.store.template.checks ?? [];
    if (!all.length) return [];
    const words = ({ sum, equals, equal }) => (sum ? `${sum.join(" + ")} = ${equals}` : equal.join(" = "));
    return [el("h3", {}, "Checks"), el("ol", {}, all.map((check, n) =>
      el("li", {}, words(check), " ", el("button", {
        type: "button", class: "quiet danger", "aria-label": `Remove check ${n + 1}`,
        onclick: () => this.store.edit((copy) => checks.removeCheck(copy, n)),
      }, "Remove"))))];
  }
}

const withMixed = (choices, value) => (value === undefined ? [["", "(different)"], ...choices] : choices);

function coloured(text, parts) {
  const shown = [];
  let done = 0;
  for (const { group, start, end } of [...parts].sort((a, b) => a.start - b.start)) {
    shown.push(text.slice(done, start), el("mark", { class: group, title: group }, text.slice(start, end)));
    done = end;
  }
  return el("p", { class: "code-text" }, ...shown, text.slice(done));
}

// What can be done to fields and tables. Each function changes the template that it is given, a copy.

import { freeName, keepingChecks, names, padded } from "./checks.js";
import { at, inReadingOrder, items } from "./items.js";
import { around, boxesOf, cellsOf, holds, middle, movedCells, someCells } from "./units.js";

/** Add a field where it comes in reading order; returns its ref. */
export function add(template, field) {
  template.fields ??= [];
  const fresh = { ref: "new", field, page: field.page ?? 1, first: boxesOf(field.cells) };
  const order = inReadingOrder([...items(template).filter(({ table }) => !table), fresh]);
  const after = order[order.indexOf(fresh) - 1];
  const index = after ? Number(after.ref.split(".")[1]) + 1 : 0;
  template.fields.splice(index, 0, field);
  return `fields.${index}`;
}

/** Remove fields and columns; a table without columns goes, too. */
export function remove(template, refs) {
  keepingChecks(template, () => drop(template, refs));
  const key = template.document_key?.field;
  if (key && !names(template).includes(key)) delete template.document_key;
}

function drop(template, refs) {
  const gone = new Set(refs.map((ref) => at(template, ref)));
  template.fields = (template.fields ?? []).filter((field) => !gone.has(field));
  const tables = (template.tables ?? [])
    .map((table) => ({ ...table, columns: table.columns.filter((column) => !gone.has(column)) }))
    .filter((table) => table.columns.length);
  if (tables.length) template.tables = tables;
  else delete template.tables;
}

/** Remove every box on a page whose middle is in an area, and fields without any left.
 * Returns how many boxes went. A table loses a column only if its whole first row is touched. */
export function erase(template, page, area) {
  const whole = [];
  let count = 0;
  for (const { ref, field, table, first, page: on } of items(template)) {
    if (on !== page) continue;
    const kept = first.map((_, n) => n).filter((n) => !holds(area, middle(first[n])));
    if (kept.length === first.length) continue;
    count += first.length - kept.length;
    if (!kept.length) whole.push(ref);
    else {
      field.cells = someCells(field.cells, kept);
      if (field.labels) field.labels = kept.map((n) => field.labels[n]);
      if (kept.length === 1) delete field.choose;
    }
    if (table && !kept.length) count += first.length * (table.rows.count - 1);
  }
  if (whole.length) remove(template, whole);
  return count;
}

export function move(template, refs, dx, dy) {
  for (const ref of refs) {
    const field = at(template, ref);
    field.cells = movedCells(field.cells, dx, dy);
  }
}

/** Set a value of fields; undefined takes the key out, so that its default holds. */
export function set(template, refs, key, value) {
  for (const ref of refs) {
    const field = at(template, ref);
    if (value === undefined) delete field[key];
    else field[key] = value;
    if (key === "type") fitType(field);
  }
}

const OF_DIGITS = ["unused", "none", "empty", "rules", "repair", "target_error"];

/** Take out of a field what its type does not have. */
function fitType(field) {
  if (field.type === "digits") delete field.type;
  if (["checkbox", "image"].includes(field.type)) OF_DIGITS.forEach((key) => delete field[key]);
  if (field.type !== "checkbox") ["choose", "labels"].forEach((key) => delete field[key]);
}

/** Make one field of the boxes of several, in reading order: check boxes, or cells of a number.
 * Returns its ref. */
export function group(template, refs, type) {
  const chosen = inReadingOrder(items(template).filter(({ ref, table }) => refs.includes(ref) && !table));
  const [first] = chosen;
  const merged = { ...first.field, cells: cellsOf(chosen.flatMap((each) => each.first)) };
  if (type) merged.type = type;
  fitType(merged);
  delete merged.labels;
  remove(template, chosen.map(({ ref }) => ref));
  return add(template, merged);
}

/** Make a field of each box of a field. Returns their refs. */
export function ungroup(template, ref) {
  const field = at(template, ref), boxes = boxesOf(field.cells);
  remove(template, [ref]);
  boxes.forEach((box, n) => {
    const single = { ...field, name: `${field.name}_${padded(n + 1)}`, cells: cellsOf([box]) };
    delete single.labels;
    delete single.choose;
    add(template, single);
  });
  const wanted = boxes.map((_, n) => `${field.name}_${padded(n + 1)}`);
  return items(template).filter((each) => wanted.includes(each.field.name)).map((each) => each.ref);
}

// --- rows ------------------------------------------------------------------------------------

/** Rows off an even step by more than this part of their height are no table. */
const EVEN = 0.06;

/** Repeat fields at distances below them (`offsets` in the template's unit, the first is 0).
 * At an even step they become a table, else fields of their own. What the copies would cover, such
 * as proposals for the same boxes, goes. Returns refs of what came of it. */
export function copyDown(template, refs, offsets) {
  const chosen = inReadingOrder(items(template).filter(({ ref, table }) => refs.includes(ref) && !table));
  if (!chosen.length || offsets.length < 2) return refs;
  const last = offsets.length - 1, pitch = offsets[last] / last;
  const height = around(chosen.flatMap((each) => each.first))[3];
  const even = offsets.every((offset, n) => Math.abs(offset - n * pitch) <= EVEN * height);
  let made = [];
  keepingChecks(template, () => {
    const covered = coveredBy(template, chosen, offsets.slice(1));
    const fields = chosen.map(({ field }) => structuredClone(field));
    drop(template, [...covered, ...chosen.map(({ ref }) => ref)]);
    made = even ? asTable(template, fields, offsets, pitch) : singly(template, fields, offsets);
  });
  return made;
}

/** The fields that copies would cover: proposals for the same boxes. */
function coveredBy(template, chosen, offsets) {
  const areas = chosen.flatMap(({ first }) => {
    const [x, y, w, h] = around(first);
    return offsets.map((offset) => [x, y + offset, w, h]);
  });
  return items(template)
    .filter(({ page, table }) => !table && page === chosen[0].page)
    .filter(({ first }) => first.every((box) => areas.some((area) => holds(area, middle(box)))))
    .map(({ ref }) => ref);
}

/** The name of a column: votes_01 is the first of votes. */
const stem = (name) => name.replace(/_?\d+$/, "") || name;

function asTable(template, fields, offsets, pitch) {
  const rows = { count: offsets.length, pitch: [0, Math.round(pitch * 1e5) / 1e5] };
  const columns = fields.map((field) => ({ ...field, name: stem(field.name) }));
  if (new Set(columns.map(({ name }) => name)).size < columns.length)
    columns.forEach((column, n) => { column.name = fields[n].name; });
  template.tables = [...(template.tables ?? []), { rows, columns }];
  return columns.map((_, n) => `tables.${template.tables.length - 1}.columns.${n}`);
}

function singly(template, fields, offsets) {
  const made = [];
  for (const field of fields)
    offsets.forEach((offset, n) => {
      const name = `${stem(field.name)}_${padded(n + 1)}`;
      add(template, { ...structuredClone(field), name, cells: movedCells(field.cells, 0, offset) });
      made.push(name);
    });
  return items(template).filter(({ field }) => made.includes(field.name)).map(({ ref }) => ref);
}

/** Make fields of a table's rows. Returns refs of those of the column that was selected. */
export function untable(template, ref) {
  const [, index] = ref.split(".");
  const table = template.tables[Number(index)];
  const made = [];
  keepingChecks(template, () => {
    template.tables = template.tables.filter((each) => each !== table);
    if (!template.tables.length) delete template.tables;
    for (let row = 0; row < table.rows.count; row++)
      for (const column of table.columns) {
        const name = `${column.name}_${padded((table.rows.first ?? 1) + row)}`;
        const [dx, dy] = table.rows.pitch;
        add(template, { ...structuredClone(column), name, cells: movedCells(column.cells, row * dx, row * dy) });
        made.push(name);
      }
  });
  return items(template).filter(({ field }) => made.includes(field.name)).map((each) => each.ref);
}

// The fields and columns of a template: `ref` is the path of one, such as "fields.3".

import { boxesOf, middle } from "./units.js";

const path = (ref) => ref.split(".").map((step) => (/^\d+$/.test(step) ? Number(step) : step));

/** The field or column at a path; undefined if there is none. */
export const at = (template, ref) => path(ref).reduce((here, step) => here?.[step], template);

/** The fields and columns of a template, in order: what each is, where it is, and its boxes. */
export function items(template) {
  const found = [];
  (template.fields ?? []).forEach((field, n) => found.push(item(`fields.${n}`, field, null, n)));
  (template.tables ?? []).forEach((table, t) =>
    table.columns.forEach((column, c) => found.push(item(`tables.${t}.columns.${c}`, column, table, c))),
  );
  return found;
}

function item(ref, field, table) {
  const first = boxesOf(field.cells);
  const rows = table ? table.rows.count : 1;
  const [dx, dy] = table?.rows.pitch ?? [0, 0];
  const boxes = [];
  for (let row = 0; row < rows; row++)
    boxes.push(...first.map(([x, y, w, h]) => [x + row * dx, y + row * dy, w, h]));
  return { ref, field, table, page: field.page ?? 1, first, boxes, cells: first.length };
}

/** From top to bottom, and from left to right in what is level. */
export function inReadingOrder(list) {
  const height = (each) => each.first[0][3];
  const sorted = [...list].sort((a, b) => a.page - b.page || a.first[0][1] - b.first[0][1]);
  const lines = [];
  for (const each of sorted) {
    const line = lines.at(-1);
    const level = line && line[0].page === each.page &&
      Math.abs(middle(line[0].first[0])[1] - middle(each.first[0])[1]) < 0.5 * Math.min(height(line[0]), height(each));
    if (level) line.push(each);
    else lines.push([each]);
  }
  return lines.flatMap((line) => line.sort((a, b) => a.first[0][0] - b.first[0][0]));
}

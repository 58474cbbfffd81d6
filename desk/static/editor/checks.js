// Names of fields, and the checks that use them. Functions change the template that they are given.

import { at, inReadingOrder, items } from "./items.js";

export const padded = (number) => String(number).padStart(2, "0");

/** All names that rows will have, those of tables row by row. */
export function names(template) {
  return items(template).flatMap(({ field, table }) =>
    table
      ? Array.from({ length: table.rows.count }, (_, n) => `${field.name}_${padded((table.rows.first ?? 1) + n)}`)
      : [field.name],
  );
}

const expanded = (words, all) =>
  words.flatMap((word) => (word.endsWith("*") ? all.filter((n) => n.startsWith(word.slice(0, -1))) : [word]));

/** Names as few patterns: `votes_*` where all names that begin so are meant. */
function compressed(wanted, all) {
  const left = [...new Set(wanted)], words = [];
  while (left.length) {
    const stem = left[0].replace(/\d+$/, "");
    const alike = all.filter((name) => name.startsWith(stem));
    if (stem !== left[0] && alike.length > 1 && alike.every((name) => left.includes(name))) {
      words.push(`${stem}*`);
      alike.forEach((name) => left.splice(left.indexOf(name), 1));
    } else words.push(left.shift());
  }
  return words;
}

/** Change something that renames or removes fields, and keep the checks right. */
export function keepingChecks(template, change) {
  const before = names(template);
  const checks = (template.checks ?? []).map((check) => ({
    ...check,
    ...(check.sum && { sum: expanded(check.sum, before) }),
    ...(check.equal && { equal: expanded(check.equal, before) }),
  }));
  const renamed = change() ?? new Map();
  const after = names(template);
  const now = (list) => list.map((name) => renamed.get(name) ?? name).filter((name) => after.includes(name));
  const kept = checks.flatMap((check) => {
    const equals = check.equals && (renamed.get(check.equals) ?? check.equals);
    const sum = check.sum && compressed(now(check.sum), after);
    const equal = check.equal && compressed(now(check.equal), after);
    if ((equals && !after.includes(equals)) || sum?.length === 0 || equal?.length < 2) return [];
    return [{ ...check, ...(sum && { sum }), ...(equal && { equal }), ...(equals && { equals }) }];
  });
  if (kept.length) template.checks = kept;
  else delete template.checks;
  const key = template.document_key?.field;
  if (key && renamed.has(key)) template.document_key.field = renamed.get(key);
}

/** Name fields: one gets the name, several are numbered in reading order from 1, or from the
 * number that the name ends with. */
export function name(template, refs, typed) {
  const chosen = inReadingOrder(items(template).filter(({ ref }) => refs.includes(ref)));
  const [, stem, number] = /^(.*?)_?(\d*)$/.exec(typed);
  const start = number === "" ? 1 : Number(number);
  const wide = Math.max(2, number.length, String(start + chosen.length - 1).length);
  keepingChecks(template, () => {
    const renamed = new Map();
    chosen.forEach(({ field, table }, n) => {
      const fresh = chosen.length === 1 ? typed : `${stem}_${String(start + n).padStart(wide, "0")}`;
      if (table)
        for (let row = 0; row < table.rows.count; row++) {
          const end = `_${padded((table.rows.first ?? 1) + row)}`;
          renamed.set(field.name + end, fresh + end);
        }
      else renamed.set(field.name, fresh);
      field.name = fresh;
    });
    return renamed;
  });
}

/** A name that no field has yet. */
export function freeName(template, stem = "box") {
  const taken = new Set(names(template));
  let number = 1;
  while (taken.has(`${stem}_${String(number).padStart(3, "0")}`)) number++;
  return `${stem}_${String(number).padStart(3, "0")}`;
}

// --- checks ----------------------------------------------------------------------------------

/** The names that stand for a field or column in a check. */
export function namesOf(template, refs) {
  return items(template)
    .filter(({ ref }) => refs.includes(ref))
    .flatMap(({ field, table }) =>
      table
        ? Array.from({ length: table.rows.count }, (_, n) => `${field.name}_${padded((table.rows.first ?? 1) + n)}`)
        : [field.name],
    );
}

/** A sum of fields must equal another. */
export function addSum(template, addends, total) {
  const sum = compressed(namesOf(template, addends), names(template));
  template.checks = [...(template.checks ?? []), { sum, equals: at(template, total).name }];
}

export function removeCheck(template, number) {
  template.checks = template.checks.filter((_, n) => n !== number);
  if (!template.checks.length) delete template.checks;
}

/** The fields that take part in checks: ref -> signs such as "Σ1" for a total, "+1" for an addend. */
export function signs(template) {
  const all = names(template), found = {};
  const refOf = {};
  for (const { ref, field, table } of items(template))
    for (const each of table ? namesOf(template, [ref]) : [field.name]) refOf[each] = ref;
  (template.checks ?? []).forEach((check, n) => {
    const note = (name, sign) => {
      const ref = refOf[name];
      if (ref) found[ref] = new Set([...(found[ref] ?? []), `${sign}${n + 1}`]);
    };
    expanded(check.sum ?? [], all).forEach((name) => note(name, "+"));
    expanded(check.equal ?? [], all).forEach((name) => note(name, "="));
    if (check.equals) note(check.equals, "Σ");
  });
  return found;
}


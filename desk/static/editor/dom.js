// Elements without markup in strings.

/** An element: attributes, `on…` listeners and properties, then children (texts or elements). */
export function el(name, values = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

let lastId = 0;

/** A labelled control: [label, control]. */
export function labelled(text, control) {
  control.id ||= `control-${++lastId}`;
  return [el("label", { for: control.id }, text), control];
}

/** A select of `choices` ([value, words]) that shows `value`. */
export function choice(choices, value, change, label) {
  const made = el(
    "select",
    { onchange: (event) => change(event.target.value), ...(label && { "aria-label": label }) },
    choices.map(([each, words]) => el("option", { value: each }, words)),
  );
  made.value = value;
  return made;
}

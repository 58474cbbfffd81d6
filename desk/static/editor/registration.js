// How a page is located: marks and the page code. Functions change the template that they are given.

import { holds } from "./units.js";

/** The registration of a page; a further page that has none of its own gets one if `own`. */
export function registration(template, page, own = false) {
  if (page === 1) return (template.registration ??= {});
  template.pages ??= [];
  let side = template.pages.find((each) => each.number === page);
  if (!own) return side?.registration ?? template.registration ?? {};
  if (!side) template.pages.push((side = { number: page }));
  return (side.registration ??= structuredClone(template.registration ?? {}));
}

/** Add a mark, keeping the first four the corners, clockwise from the top left. */
export function addMark(template, page, mark) {
  const place = registration(template, page, true);
  const marks = (place.marks ??= { shape: mark.shape, size: mark.size, at: [] });
  if (marks.shape === "square") delete marks.shape;
  marks.at = clockwise([...marks.at, mark.at]);
}

export function removeMarks(template, page, area) {
  const place = registration(template, page);
  const at = (place.marks?.at ?? []).filter((point) => !holds(area, point));
  const gone = (place.marks?.at.length ?? 0) - at.length;
  if (gone) {
    const own = registration(template, page, true);
    if (at.length) own.marks.at = clockwise(at);
    else delete own.marks;
  }
  return gone;
}

function clockwise(points) {
  const extreme = (score) => points.reduce((best, each) => (score(each) < score(best) ? each : best));
  const corners = [
    extreme(([x, y]) => x + y), extreme(([x, y]) => y - x),
    extreme(([x, y]) => -x - y), extreme(([x, y]) => x - y),
  ];
  if (new Set(corners).size < 4) return points;
  return [...corners, ...points.filter((each) => !corners.includes(each))];
}

export function setCode(template, page, code) {
  const place = registration(template, page, true);
  if (code) place.code = code;
  else delete place.code;
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** A pattern for a code's text in which stretches `parts` ({start, end, group}) vary. */
export function patternOf(text, parts) {
  let pattern = "", done = 0;
  for (const { start, end, group } of [...parts].sort((a, b) => a.start - b.start)) {
    const part = text.slice(start, end);
    const kind = /^\d+$/.test(part) ? "\\d+" : /^[A-Za-z]+$/.test(part) ? "[A-Za-z]+" : ".+";
    pattern += `${escaped(text.slice(done, start))}(?P<${group}>${group === "page" ? "\\d+" : kind})`;
    done = end;
  }
  return pattern + escaped(text.slice(done));
}

/** Which stretches of a text the groups of a pattern are: [{start, end, group}]. */
export function partsOf(text, pattern) {
  try {
    const found = new RegExp(`^(?:${pattern.replaceAll("(?P<", "(?<")})$`, "d").exec(text);
    return Object.entries(found?.indices?.groups ?? {})
      .filter(([, span]) => span)
      .map(([group, [start, end]]) => ({ group, start, end }));
  } catch {
    return []; // a pattern of Python's that this language does not have
  }
}

// Geometry: boxes are [left, top, width, height], in a template's unit or in pixels of a page.

export const toPixels = (page, [x, y, w, h]) => {
  const [left, top, width, height] = page.box;
  const across = page.size[0] / width, down = page.size[1] / height;
  return [(x - left) * across, (y - top) * down, w * across, h * down];
};

export const toUnits = (page, [x, y, w, h]) => {
  const [left, top, width, height] = page.box;
  const across = width / page.size[0], down = height / page.size[1];
  return [left + x * across, top + y * down, w * across, h * down];
};

const round = (value) => Math.round(value * 1e5) / 1e5;
export const rounded = (values) => values.map(round);

/** The boxes of a field's `cells`, from first to last. */
export const boxesOf = (cells) => {
  if (cells.boxes?.length) return cells.boxes;
  const [x, y] = cells.origin ?? [0, 0], [w, h] = cells.size ?? [1, 1];
  const [dx, dy] = cells.pitch ?? [0, 0];
  return Array.from({ length: cells.count ?? 1 }, (_, i) => [x + i * dx, y + i * dy, w, h]);
};

/** `cells` for a list of boxes: one has an origin and a size, several are listed. */
export const cellsOf = (boxes) =>
  boxes.length === 1
    ? { origin: rounded(boxes[0].slice(0, 2)), size: rounded(boxes[0].slice(2)) }
    : { boxes: boxes.map(rounded) };

/** `cells` moved by (dx, dy), and made wider and higher by (dw, dh) in all. */
export const movedCells = (cells, dx, dy) =>
  cells.boxes?.length
    ? { ...cells, boxes: cells.boxes.map(([x, y, w, h]) => rounded([x + dx, y + dy, w, h])) }
    : { ...cells, origin: rounded([cells.origin[0] + dx, cells.origin[1] + dy]) };

/** `cells` so that their bounding box `from` becomes `to`. */
export const fittedCells = (cells, from, to) => {
  const sx = to[2] / from[2], sy = to[3] / from[3];
  const fit = ([x, y, w, h]) =>
    rounded([to[0] + (x - from[0]) * sx, to[1] + (y - from[1]) * sy, w * sx, h * sy]);
  if (cells.boxes?.length) return { ...cells, boxes: cells.boxes.map(fit) };
  const first = fit([...cells.origin, ...cells.size]);
  const fitted = { ...cells, origin: first.slice(0, 2), size: first.slice(2) };
  if (cells.pitch) fitted.pitch = rounded([cells.pitch[0] * sx, cells.pitch[1] * sy]);
  return fitted;
};

/** Some of the boxes of `cells`, by their numbers; keeps a row a row where what is left is one. */
export const someCells = (cells, numbers) => {
  const boxes = boxesOf(cells);
  const inRow = numbers.every((n, i) => n === numbers[0] + i);
  if (cells.boxes?.length || !inRow || numbers.length === 1)
    return cellsOf(numbers.map((n) => boxes[n]));
  return { ...cells, origin: rounded(boxes[numbers[0]].slice(0, 2)), count: numbers.length };
};

/** The smallest box around others. */
export const around = (boxes) => {
  const left = Math.min(...boxes.map((b) => b[0])), top = Math.min(...boxes.map((b) => b[1]));
  const right = Math.max(...boxes.map((b) => b[0] + b[2]));
  const bottom = Math.max(...boxes.map((b) => b[1] + b[3]));
  return [left, top, right - left, bottom - top];
};

/** The box between two points, whichever way it was drawn. */
export const between = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.abs(x - u), Math.abs(y - v)];

export const middle = ([x, y, w, h]) => [x + w / 2, y + h / 2];

export const holds = ([x, y, w, h], [u, v]) => u >= x && u <= x + w && v >= y && v <= y + h;

export const meet = (a, b) =>
  a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3];

"use strict";
const sheet = document.getElementById("sheet");
const picture = sheet.querySelector("img");
const drawing = sheet.querySelector("svg");
const inputs = [...document.querySelectorAll("#points input")];
const said = document.getElementById("said");
const read = document.getElementById("read");
const scale = Number(sheet.dataset.scale);
/* Places in pixels of the file; null for those not given yet. */
let points = [null, null, null, null];
let dragged = -1;

const shrink = () => picture.naturalWidth * scale / picture.clientWidth;

function placeOf(event) {
  const box = picture.getBoundingClientRect();
  return [(event.clientX - box.left) * shrink(), (event.clientY - box.top) * shrink()];
}

function draw(typing) {
  const given = points.filter(Boolean);
  drawing.querySelectorAll("circle, text").forEach((each) => each.remove());
  drawing.querySelector("polygon").setAttribute(
    "points", given.map(([x, y]) => `${x / shrink()},${y / shrink()}`).join(" "));
  points.forEach((point, number) => {
    if (!typing) inputs[number].value = point ? point.map((value) => value.toFixed(1)).join(", ") : "";
    if (!point) return;
    const [x, y] = point.map((value) => value / shrink());
    for (const [kind, attributes] of [["circle", { cx: x, cy: y, r: 9 }], ["text", { x: x + 12, y: y - 12 }]]) {
      const each = document.createElementNS("http://www.w3.org/2000/svg", kind);
      for (const [name, value] of Object.entries(attributes)) each.setAttribute(name, value);
      each.dataset.number = number;
      if (kind === "text") each.textContent = number + 1;
      drawing.append(each);
    }
  });
  read.disabled = given.length < 4;
}

sheet.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  const number = event.target.dataset.number;
  dragged = number === undefined ? points.indexOf(null) : Number(number);
  if (dragged < 0) return;
  points[dragged] = placeOf(event);
  sheet.setPointerCapture(event.pointerId);
  draw();
});
sheet.addEventListener("pointermove", (event) => {
  if (dragged < 0) return;
  points[dragged] = placeOf(event);
  draw();
});
sheet.addEventListener("pointerup", () => { dragged = -1; });
inputs.forEach((input, number) => input.addEventListener("input", () => {
  const typed = input.value.split(/[,;\s]+/).filter(Boolean).map(Number);
  points[number] = typed.length === 2 && typed.every(Number.isFinite) ? typed : null;
  draw(true);
}));
document.getElementById("again").addEventListener("click", () => { points = [null, null, null, null]; draw(); });
document.getElementById("skip").addEventListener("click", () => send([]));
read.addEventListener("click", () => send(points));
addEventListener("resize", () => draw());

async function send(corners) {
  said.className = "";
  said.textContent = "reading ...";
  read.disabled = true;
  let answer;
  try {
    const sent = await fetch(location.href, {
      method: "POST", body: JSON.stringify({ item: Number(sheet.dataset.item), corners }),
    });
    answer = await sent.json();
  } catch {
    answer = { error: "the command has ended" };
  }
  if (answer.error) {
    said.className = "error";
    said.textContent = answer.error;
    draw();
  } else if (answer.next) {
    location.reload();
  } else {
    said.textContent = `${answer.read || ""} All pages are done: you can close this page.`;
  }
}

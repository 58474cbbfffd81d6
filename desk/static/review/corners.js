// Corners of a page that was not located: dragged, or moved by arrow keys; cut and shown at once.

import { ask } from "../desk.js";

const place = document.getElementById("corners"), svg = place.querySelector("svg");
const here = document.getElementById("corners-form").dataset.here;
const said = document.getElementById("said"), SVG = "http://www.w3.org/2000/svg";
const corners = [[0.08, 0.06], [0.92, 0.06], [0.92, 0.94], [0.08, 0.94]];
const outline = svg.appendChild(document.createElementNS(SVG, "polygon"));
let pixels = null, timer = 0, asked = 0;

const handles = corners.map((_, index) => {
  const circle = svg.appendChild(document.createElementNS(SVG, "ellipse"));
  circle.setAttribute("tabindex", "0");
  circle.setAttribute("role", "button");
  circle.setAttribute("aria-label", `Corner ${index + 1}`);
  circle.addEventListener("pointerdown", (event) => circle.setPointerCapture(event.pointerId));
  circle.addEventListener("pointermove", (event) => {
    if (!circle.hasPointerCapture(event.pointerId)) return;
    const box = place.getBoundingClientRect();
    move(index, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  circle.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (dx === undefined) return;
    event.preventDefault();
    const step = event.shiftKey ? 0.01 : 0.001;
    move(index, corners[index][0] + dx * step, corners[index][1] + dy * step);
  });
  return circle;
});

const within = (value) => Math.min(1, Math.max(0, value));

function move(index, x, y) {
  corners[index] = [within(x), within(y)];
  draw();
  clearTimeout(timer);
  timer = setTimeout(preview, 250);
}

function draw() {
  const box = place.getBoundingClientRect();
  outline.setAttribute("points", corners.map(([x, y]) => `${1000 * x},${1000 * y}`).join(" "));
  handles.forEach((handle, index) => {
    handle.setAttribute("cx", 1000 * corners[index][0]);
    handle.setAttribute("cy", 1000 * corners[index][1]);
    handle.setAttribute("rx", 12000 / box.width);
    handle.setAttribute("ry", 12000 / box.height);
  });
}

function say(message, isError = false) {
  said.hidden = !message;
  said.textContent = message;
  said.classList.toggle("error", isError);
}

const body = (points) => ({
  corners: points,
  form: document.getElementById("form").value,
  number: Number(document.getElementById("number").value),
});

async function preview() {
  const mine = ++asked;
  try {
    const answer = await ask(`${here}/preview`, { method: "POST", body: body(corners) });
    if (mine !== asked) return;
    pixels = answer.corners;
    say("");
    document.getElementById("cuts").replaceChildren(...answer.fields.map(([name, png]) => {
      const figure = document.createElement("figure"), picture = new Image();
      picture.src = `data:image/png;base64,${png}`;
      picture.alt = "";
      const words = document.createElement("figcaption");
      words.textContent = name;
      figure.append(picture, words);
      return figure;
    }));
  } catch (error) {
    pixels = null;
    say(error.message, true);
  }
}

for (const [id, alike] of [["read", false], ["alike", true]])
document.getElementById(id)?.addEventListener("click", async (event) => {
  if (!pixels) await preview();
  if (!pixels) return;
  event.target.disabled = true;
  say(alike ? "The pages are being read; this takes a minute or two." : "The page is being read; this takes some seconds.");
  try {
    const answer = await ask(`${here}/read`, { method: "POST", body: { ...body(pixels), alike } });
    say(answer.said);
  } catch (error) {
    say(error.message, true);
  } finally {
    event.target.disabled = false;
  }
});

for (const id of ["form", "number"]) document.getElementById(id).addEventListener("change", preview);
window.addEventListener("resize", draw);
place.querySelector("img").addEventListener("load", () => { draw(); preview(); });
draw();

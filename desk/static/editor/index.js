// The list of templates: a dropped file becomes a draft.

import { ask, url } from "../desk.js";

const form = document.querySelector("[data-drop]");
const input = form.querySelector("input");
const state = form.querySelector("[data-state]");
const error = form.querySelector("[data-error]");

async function open(file) {
  if (!file) return;
  error.hidden = true;
  state.textContent = `Looking for boxes in ${file.name} …`;
  form.setAttribute("aria-busy", "true");
  try {
    const headers = { "X-File-Name": encodeURIComponent(file.name) };
    const { location } = await ask("/templates/drafts", { method: "POST", body: file, headers });
    window.location.assign(url(location));
  } catch (fault) {
    state.textContent = "";
    error.textContent = fault.message;
    error.hidden = false;
    input.value = "";
  } finally {
    form.removeAttribute("aria-busy");
  }
}

input.addEventListener("change", () => open(input.files[0]));
// Chosen while this script was still loading, when nobody listened.
if (input.files.length) open(input.files[0]);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("over");
});
form.addEventListener("dragleave", () => form.classList.remove("over"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  open(event.dataTransfer.files[0]);
});

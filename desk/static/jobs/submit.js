// Waits until what was handed in is a job, and leads on to it.

import { DeskError } from "../desk.js";

const shown = document.getElementById("submitting");
const items = document.getElementById("items");

async function look() {
  try {
    const answer = await fetch(shown.dataset.state, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new DeskError("", answer.status);
    const { state, items: count, stopped } = await answer.json();
    items.textContent = count.toLocaleString("en");
    if (state !== "running" || stopped) {
      location.reload(); // the page leads on to the job, or says what went wrong
      return;
    }
  } catch {
    // The server may be restarting: look again.
  }
  setTimeout(look, 1000);
}

if (shown) setTimeout(look, 500);

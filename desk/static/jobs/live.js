// Progress as it happens. The server sends a part of the page whenever it changed; only what
// differs is replaced, so that the focus and a selection stay where they are.

const live = document.getElementById("live");
const problem = document.getElementById("live-problem");

/** The text of an element that is not inside of its children. */
const ownText = (node) =>
  [...node.childNodes].filter((each) => each.nodeType === 3).map((each) => each.data).join("|");

const key = (node) => node.dataset?.key ?? "";

/** Whether `old` and `fresh` differ only in attributes, or further inside. */
const alike = (old, fresh) =>
  old.nodeName === fresh.nodeName &&
  key(old) === key(fresh) &&
  old.childElementCount === fresh.childElementCount &&
  ownText(old) === ownText(fresh);

function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!alike(old, fresh)) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  updateChildren(old, fresh);
}

function updateChildren(old, fresh) {
  const news = [...fresh.children]; // a list of its own: replaceWith takes nodes out of `fresh`
  [...old.children].forEach((child, place) => update(child, news[place]));
}

function show(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const part = document.createElement("div");
  part.append(fresh.content);
  if (live.childElementCount === part.childElementCount) updateChildren(live, part);
  else live.replaceChildren(...part.childNodes);
}

/** What surrounds the live part differs for a job that ended; typed text is not thrown away. */
const ended = () => live.querySelector("[data-ended]") !== null;
const endedBefore = ended();
const typed = () => [...document.querySelectorAll("main input")].some((each) => each.value !== each.defaultValue);

function tell(words) {
  problem.textContent = words;
  problem.hidden = !words;
}

const source = new EventSource(live.dataset.live);
source.addEventListener("message", ({ data }) => {
  const said = JSON.parse(data);
  if (said.over) {
    source.close();
    tell("Your session is over: reload this page to sign in again.");
  } else if (said.error) {
    tell(said.error);
  } else {
    tell("");
    show(said.html);
    if (ended() && !endedBefore && !typed()) location.reload();
  }
});
source.addEventListener("error", () => {
  if (source.readyState === EventSource.CLOSED) tell("The desk does not answer: reload this page.");
});

// The keys of the editor.

const TOOLS = [
  ["v", "select", "Select"], ["b", "box", "Draw boxes"], ["e", "erase", "Erase"], ["s", "sum", "Sum"],
  ["m", "mark", "Mark"], ["c", "code", "Page code"],
];
const COMMANDS = [
  ["n", "next", "Next field"],
  ["p", "previous", "Previous field"],
  ["Enter", "name", "Name the selected field; Enter there goes to the next one"],
  ["a", "add", "New box in the middle of the view"],
  ["l", "snap", "Snap the selected field to the printed lines"],
  ["x", "split", "Split the selected field into cells"],
  ["d", "copy-down", "Copy down to all rows printed like this one"],
  ["g", "group", "Group the selected boxes into one field"],
  ["t", "sum-of", "The selected fields are added: click the total next, with Shift"],
  ["Delete", "delete", "Remove what is selected"],
  ["Escape", "none", "Select nothing"],
  ["+", "zoom-in", "Zoom in"],
  ["-", "zoom-out", "Zoom out"],
  ["0", "fit", "Fit the width"],
  ["?", "help", "These keys"],
];
const MORE = [
  ["Arrows", "Move what is selected by a pixel; with Alt change its size; with Shift by ten"],
  ["Ctrl+Z, Ctrl+Y", "Undo, redo"], ["Ctrl+A", "Select all boxes of the page"], ["Ctrl+S", "Save the template"],
  ["Ctrl+wheel", "Zoom"], ["Space and drag", "Move the page"], ["Shift and click", "Select one more"],
];
const shown = (key) => (key.length === 1 ? key.toUpperCase() : key);

/** All keys, and what they do in words. */
export const table = [
  ...TOOLS.map(([key, , words]) => [shown(key), `Tool: ${words}`]),
  ...COMMANDS.map(([key, , words]) => [shown(key), words]),
  ...MORE,
];

const CONTROL = { z: "undo", y: "redo", a: "all", s: "save" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TEXT = "input:not([type=radio], [type=checkbox]), textarea";

/** Obey keys that are pressed outside of texts. */
export function listen({ stage, useTool, run, nudge }) {
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const act = event.ctrlKey || event.metaKey ? control(event, run) : plain(event, { stage, useTool, run, nudge });
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function control(event, run) {
  const key = event.key.toLowerCase();
  const command = event.shiftKey && key === "z" ? "redo" : CONTROL[key];
  // In a text, undo and select all are the browser's.
  if (!command || (event.target.closest?.(TEXT) && command !== "save")) return undefined;
  return () => run(command);
}

function plain(event, { stage, useTool, run, nudge }) {
  if (event.target.closest?.(`${TEXT}, select`)) return event.key === "Escape" ? () => stage.focus() : undefined;
  const onPage = document.activeElement === stage;
  if (ARROWS[event.key] && onPage) {
    const far = event.shiftKey ? 10 : 1;
    return () => nudge(ARROWS[event.key].map((step) => step * far), event.altKey);
  }
  if (event.key === "Enter" && !onPage) return undefined;
  const key = event.key === "Backspace" ? "Delete" : event.key;
  const same = ([each]) => each === key || each === key.toLowerCase();
  const tool = TOOLS.find(same), command = COMMANDS.find(same);
  return tool ? () => useTool(tool[1]) : command ? () => run(command[1]) : undefined;
}

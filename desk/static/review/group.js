// A screen of cells that were read as the same digit: type over the odd ones, Enter confirms the rest.

const root = () => document.querySelector('meta[name="root-path"]').content;

export class Group {
  /** `hub` is what the page offers: send, count, tellLate, fail, finished. */
  constructor(data, hub) {
    this.data = data;
    this.hub = hub;
    this.said = data.fields.map(() => "");
    this.at = 0;
    this.element = document.createElement("div");
    this.element.className = "group";
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", `Cells read as ${data.digit}`);
    this.buttons = data.fields.map((field, index) => this.#button(field, index));
    this.element.append(...this.buttons);
  }

  #button(field, index) {
    const button = document.createElement("button"), picture = new Image();
    button.type = "button";
    button.title = `${field.source}, ${field.field}: ${field.shown}`;
    picture.src = root() + field.picture;
    picture.alt = `${field.field} of ${field.source}`;
    const over = document.createElement("span");
    over.className = "over";
    over.hidden = true;
    button.append(picture, over);
    button.addEventListener("click", () => {
      // The first click chooses the cell, another leaves it for later.
      if (this.at === index && document.activeElement === button) this.#say(this.said[index] ? "" : "skip");
      this.#choose(index);
    });
    return button;
  }

  start() { this.#choose(this.at); }
  chosen() { return this.data.fields[this.at]; }
  unreadable() { this.#say("?"); this.#move(1); }
  narrow(left) { if (!left.length) this.hub.finished(this); }

  key(event) {
    const columns = getComputedStyle(this.element).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey) return false;
    if (step) this.#move(step);
    else if (/^[0-9]$/.test(event.key)) { this.#say(event.key); this.#move(1); }
    else if (event.key === "+") { this.#say("skip"); this.#move(1); }
    else if (event.key === "Backspace" || event.key === "Delete") this.#say("");
    else if (event.key === "Enter") this.#confirm();
    else return false;
    return true;
  }

  #move(step) {
    const to = this.at + step;
    if (to >= 0 && to < this.buttons.length) this.#choose(to);
  }

  #choose(index) {
    this.buttons[this.at].removeAttribute("aria-current");
    this.at = index;
    this.buttons[index].setAttribute("aria-current", "true");
    this.buttons[index].focus();
  }

  #say(what) {
    const button = this.buttons[this.at], over = button.querySelector(".over");
    this.said[this.at] = what === this.data.digit ? "" : what;
    over.textContent = what === "skip" ? "later" : what;
    over.hidden = !this.said[this.at];
    button.classList.toggle("later", what === "skip");
  }

  async #confirm() {
    if (this.sending) return;
    this.sending = true;
    const cells = this.data.fields.map((field, index) =>
      ({ item: field.item, field: field.field, digit: this.said[index] }));
    try {
      const answer = await this.hub.send("confirm", { task: this.data.task, cells, again: this.again === true });
      this.hub.tellLate(answer);
      if (!this.again) this.hub.count(cells.filter((cell) => cell.digit !== "skip").length);
      this.hub.finished(this);
    } catch (error) {
      this.hub.fail(error);
    } finally {
      this.sending = false;
    }
  }
}

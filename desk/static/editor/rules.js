// A field's rules as lines of text: "range: 0-999", "length: 8", "date: %d%m%Y",
// "date: %d%m%Y 2026-01-01 to 2026-12-31".

const numbers = (text) => text.split("-").map((part) => Number(part.trim()));

const READ = {
  range: (text) => numbers(text),
  length: (text) => (text.includes("-") ? numbers(text) : Number(text)),
  allowed: (text) => text.split(/[\s,;]+/).filter(Boolean),
};

const WRITE = {
  range: ([low, high]) => `${low}-${high}`,
  length: (value) => (Array.isArray(value) ? value.join("-") : String(value)),
  allowed: (values) => values.join(", "),
};

// As in a table: forms/make/rule_text.py.
const DAYS = /,?\s+(?:from\s+)?(\d{4}-\d\d-\d\d)\s*(?:-|\.\.+|to|\u2013|\u2026)\s*(\d{4}-\d\d-\d\d)$/i;

/** Rules as lines. */
export const asLines = (rules = []) =>
  rules
    .map(({ once, between, ...rule }) => {
      const [[word, value]] = Object.entries(rule);
      const companions = (between ? ` ${between.join(" to ")}` : "") + (once ? " (once)" : "");
      return `${word}: ${WRITE[word]?.(value) ?? value}${companions}`;
    })
    .join("\n");

/** Lines as rules; the desk says what is wrong with them. */
export const fromLines = (text) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => {
      const [, word, rest] = /^(\w+)\s*:?\s*(.*)$/.exec(line) ?? [null, line, ""];
      const once = /\(once\)$/.test(rest);
      const days = word === "date" && DAYS.exec(rest);
      const value = rest.replace(/\s*\(once\)$/, "").replace(days ? DAYS : "", "");
      return {
        [word]: READ[word]?.(value) ?? value,
        ...(once && { once: true }),
        ...(days && { between: days.slice(1) }),
      };
    });

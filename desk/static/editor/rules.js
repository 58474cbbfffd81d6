// A field's rules as lines of text: "range: 0-999", "length: 8", "date: %d%m%Y".

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

/** Rules as lines. */
export const asLines = (rules = []) =>
  rules
    .map(({ once, ...rule }) => {
      const [[word, value]] = Object.entries(rule);
      return `${word}: ${WRITE[word]?.(value) ?? value}${once ? " (once)" : ""}`;
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
      const value = rest.replace(/\s*\(once\)$/, "");
      return { [word]: READ[word]?.(value) ?? value, ...(once && { once: true }) };
    });

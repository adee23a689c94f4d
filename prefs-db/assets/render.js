// Text of unknown origin into DOM nodes. Only element() makes elements, only text nodes carry text: nothing is ever parsed as HTML,
// nothing is loaded, and links are shown, not made. Every pass is linear in the text.

const PLAIN_ABOVE = 200000; // characters; longer texts are shown without Markdown
const HIDDEN_MAX = 500; // marked characters; the rest of them is counted
const NESTING_MAX = 3;

export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "class") {
      made.className = value;
    } else if (key.startsWith("on")) {
      made.addEventListener(key.slice(2), value);
    } else if (value !== false && value !== undefined) {
      made.setAttribute(key, value === true ? "" : String(value));
    }
  }
  made.append(...children);
  return made;
}

// Characters that are invisible or turn the reading direction: control characters, bidi marks, zero-width characters, tags. Joiners are
// left alone behind letters that are not ASCII: Persian, Indic scripts and emoji need them.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|(?<=[\u0000-\u007f]|^)[\u200c\u200d]/gu;

class Writer {
  constructor() {
    this.hidden = 0;
  }

  // Appends text with hidden characters made visible.
  text(parent, text) {
    let at = 0;
    for (const match of text.matchAll(HIDDEN)) {
      parent.append(text.slice(at, match.index));
      at = match.index + match[0].length;
      this.hidden++;
      if (this.hidden <= HIDDEN_MAX) {
        const name = "U+" + match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
        parent.append(element("span", { class: "hidden-character", title: "hidden character " + name }, name));
      }
    }
    parent.append(text.slice(at));
  }

  // `code`, **bold**, *italic*; [text](address) stays as it is written.
  inline(parent, text, depth) {
    const missing = new Set(); // delimiters that do not occur any more: never looked for again
    let plain = 0;
    let at = 0;
    while (at < text.length) {
      const mark = text.startsWith("**", at) ? "**" : text[at];
      if ((mark !== "`" && mark !== "**" && mark !== "*") || missing.has(mark) || (mark !== "`" && /\s/.test(text[at + mark.length] ?? " "))) {
        at += mark === "**" ? 2 : 1;
        continue;
      }
      const end = text.indexOf(mark, at + mark.length);
      if (end < 0) {
        missing.add(mark);
        at += mark.length;
        continue;
      }
      const inside = text.slice(at + mark.length, end);
      if (inside === "" || (mark === "*" && /\s$/.test(inside))) {
        at += mark.length;
        continue;
      }
      this.text(parent, text.slice(plain, at));
      const child = element(mark === "`" ? "code" : mark === "**" ? "strong" : "em");
      if (mark === "`" || depth >= NESTING_MAX) {
        this.text(child, inside);
      } else {
        this.inline(child, inside, depth + 1);
      }
      parent.append(child);
      at = plain = end + mark.length;
    }
    this.text(parent, text.slice(plain));
  }

  block(name, text, options = {}) {
    const made = element(name, options);
    this.inline(made, text, 0);
    return made;
  }

  code(lines, language) {
    const code = element("code");
    this.text(code, lines.join("\n"));
    const made = element("pre", { tabindex: 0, "aria-label": language === "" ? "code" : "code in " + language }, code);
    return made;
  }

  // Blocks: fenced code, headings, lists, quotations, paragraphs.
  markdown(parent, text) {
    const lines = text.split(/\r\n|\r|\n/);
    for (let i = 0; i < lines.length; ) {
      const line = lines[i];
      const fence = /^ {0,3}(```+|~~~+)\s*([^\s`]{0,40})/.exec(line);
      const heading = /^(#{1,6})\s+(.*)$/.exec(line);
      if (fence) {
        let end = i + 1;
        while (end < lines.length && !lines[end].trimStart().startsWith(fence[1])) {
          end++;
        }
        parent.append(this.code(lines.slice(i + 1, end), fence[2]));
        i = end + 1;
      } else if (heading) {
        // The page's own headings are h1 and h2.
        parent.append(this.block("h" + Math.min(6, heading[1].length + 2), heading[2]));
        i++;
      } else if (line.trim() === "") {
        i++;
      } else {
        i = this.run(parent, lines, i);
      }
    }
  }

  // A list, a quotation or a paragraph that begins at line `start`; returns the line behind it.
  run(parent, lines, start) {
    const kinds = [
      [/^\s{0,12}[-*+]\s+(.*)$/, "ul"],
      [/^\s{0,12}\d{1,9}[.)]\s+(.*)$/, "ol"],
      [/^\s{0,3}>\s?(.*)$/, "blockquote"],
    ];
    const kind = kinds.find(([pattern]) => pattern.test(lines[start]));
    let end = start;
    if (kind === undefined) {
      while (end < lines.length && lines[end].trim() !== "" && (end === start || !this.interrupts(lines[end], kinds))) {
        end++;
      }
      parent.append(this.block("p", lines.slice(start, end).join("\n")));
      return end;
    }
    const list = element(kind[1]);
    const first = /^\s*(\d{1,9})/.exec(lines[start]);
    if (kind[1] === "ol" && first[1] !== "1") {
      list.setAttribute("start", first[1]);
    }
    for (let match; end < lines.length && (match = kind[0].exec(lines[end])) !== null; end++) {
      list.append(this.block(kind[1] === "blockquote" ? "p" : "li", match[1]));
    }
    parent.append(list);
    return end;
  }

  interrupts(line, kinds) {
    return /^ {0,3}(```|~~~)|^#{1,6}\s/.test(line) || kinds.some(([pattern]) => pattern.test(line));
  }
}

// A <div> with the text.
export function render(text) {
  const parent = element("div", { class: "text", dir: "auto" });
  const writer = new Writer();
  if (text.length > PLAIN_ABOVE) {
    const plain = element("p");
    writer.text(plain, text);
    parent.append(plain);
  } else {
    writer.markdown(parent, text);
  }
  if (writer.hidden > HIDDEN_MAX) {
    parent.append(element("p", { class: "hidden-character" }, `${writer.hidden - HIDDEN_MAX} more hidden characters`));
  }
  return parent;
}

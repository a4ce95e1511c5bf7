"use strict";

// One graph: a line for each value of a parameter, over the commits, with its name at its end.

const LINE = 15; // between names, in pixels
const TOP = 14;
const BOTTOM = 24;
const PLOT = 190; // the least height of the lines' place
const GAP = 20; // from a line's end to its name

function element(namespace) {
  return (tag, attributes = {}, ...children) => {
    const made = document.createElementNS(namespace, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
}
const html = element("http://www.w3.org/1999/xhtml");
const svg = element("http://www.w3.org/2000/svg");

const pen = document.createElement("canvas").getContext("2d");
const widest = (texts) => Math.max(...texts.map((text) => pen.measureText(text).width));

class Chart {
  // lines: {name, colour, dash, points: [[commit, value or null], ...], jumps: [commit, ...]}
  constructor({ title, lines, commits, scale, unit, look, pick }) {
    Object.assign(this, { title, lines, commits, scale, unit, look, pick });
    this.root = svg("svg", { role: "img", tabindex: 0, "aria-label": this.summary() });
    const caption = title ? [html("figcaption", {}, title)] : [];
    this.figure = html("figure", {}, ...caption, this.root);
    this.root.addEventListener("pointermove", (event) => this.pointed(event));
    this.root.addEventListener("pointerleave", () => this.look(null));
    this.root.addEventListener("blur", () => this.look(null));
    this.root.addEventListener("click", () => this.commit !== null && this.pick(this.commit));
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    new ResizeObserver(() => this.draw()).observe(this.figure);
    this.commit = null;
  }

  summary() {
    return `${this.title || "history"}; last: ${this.lines.map((line) => this.label(line).text).join(", ")}`;
  }

  draw() {
    const width = this.figure.clientWidth;
    if (!width || width === this.width) return;
    this.width = width;
    const font = getComputedStyle(this.root);
    pen.font = `${font.fontSize} ${font.fontFamily}`;
    this.labels = this.lines.map((line) => this.label(line));
    this.left = 10 + widest(this.scale.ticks.map((tick) => said(tick, this.unit)));
    this.right = width - GAP - 2 - widest(this.labels.map(({ text }) => text));
    this.height = TOP + BOTTOM + Math.max(PLOT, LINE * this.lines.length);
    this.root.setAttribute("width", width);
    this.root.setAttribute("height", this.height);
    this.cross = svg("g", { class: "cross" });
    this.root.replaceChildren(...this.grid(), this.cross, ...this.lines.map((line) => this.line(line)),
      ...this.names());
    this.show(null, null);
  }

  x(commit) {
    const last = this.commits.length - 1;
    return this.left + (this.right - this.left) * (last ? commit / last : 0.5);
  }

  y(value) {
    return this.height - BOTTOM - (this.height - TOP - BOTTOM) * this.scale.at(value);
  }

  grid() {
    const { left, right, height, commits } = this;
    const at = (x, y) => `translate(${x} ${y})`;
    const ticks = this.scale.ticks.map((tick) => svg("g", { class: "tick", transform: at(0, this.y(tick)) },
      svg("line", { x1: left, x2: right }),
      svg("text", { x: left - 8, y: 4, "text-anchor": "end" }, said(tick, this.unit))));
    const tags = commits.flatMap((commit, i) => commit.tags.map((tag) => [tag, this.x(i)]));
    const tagged = tags.map(([tag, x]) => svg("g", { class: "tag", transform: at(x, 0) },
      svg("line", { y1: TOP, y2: height - BOTTOM }),
      svg("text", { y: TOP - 4, "text-anchor": "middle" }, tag)));
    const ends = commits.length > 1 ? [[0, "start"], [commits.length - 1, "end"]] : [[0, "middle"]];
    const say = day(commits[0]) === day(commits.at(-1)) ? hour : day;
    const dates = ends.map(([i, anchor]) => svg("text",
      { class: "date", x: this.x(i), y: height - 6, "text-anchor": anchor }, say(commits[i])));
    return [...ticks, ...tagged, ...dates];
  }

  // Commits at which nothing was measured are passed over; a failure breaks the line.
  line(line) {
    let path = "";
    let pen = "M";
    for (const [commit, value] of line.points) {
      if (value !== null) path += `${pen}${this.x(commit).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = value === null ? "M" : "L";
    }
    const known = line.points.filter(([, value]) => value !== null);
    const radius = Math.min(2.5, Math.max(1, (this.x(1) - this.x(0)) / 4 || 2.5));
    const dots = known.map(([commit, value]) => svg("circle", {
      class: "point", cx: this.x(commit), cy: this.y(value), r: radius,
      "data-commit": this.commits[commit].hash, "data-value": value,
    }));
    const rings = known.filter(([commit]) => line.jumps.includes(commit)).map(([commit, value]) =>
      svg("circle", { class: "jump", cx: this.x(commit), cy: this.y(value), r: 7 }));
    return svg("g", { class: "line", "data-line": line.name, style: `--colour: ${line.colour}` },
      svg("path", { d: path, ...(line.dash && { "stroke-dasharray": line.dash }) }), ...dots, ...rings);
  }

  label(line) {
    const [commit, value] = line.points.findLast(([, value]) => value !== null);
    return { line, commit, value, text: `${line.name} ${said(value, this.unit)}` };
  }

  // Names stand at the height of their line's end, moved apart where they would overlap.
  names() {
    const labels = this.labels.map((label) => ({ ...label, end: this.y(label.value), y: this.y(label.value) }));
    labels.sort((a, b) => a.y - b.y);
    labels.forEach((label, i) => { if (i) label.y = Math.max(label.y, labels[i - 1].y + LINE); });
    let floor = this.height - BOTTOM + 4;
    for (const label of labels.toReversed()) {
      label.y = Math.min(label.y, floor);
      floor = label.y - LINE;
    }
    return labels.map(({ line, commit, value, end, y }) => {
      const [x, from] = [this.right + GAP, this.x(commit) + 5];
      return svg("g", { class: "name", "data-line": line.name, style: `--colour: ${line.colour}` },
        svg("path", { d: `M${from} ${end}H${this.right + 5}L${x - 4} ${y}` }),
        svg("text", { x, y: y + 4 }, `${line.name} `, svg("tspan", {}, said(value, this.unit))));
    });
  }

  pointed(event) {
    const box = this.root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const last = this.commits.length - 1;
    const commit = Math.round(Math.min(1, Math.max(0, (x - this.left) / (this.right - this.left))) * last);
    const near = this.lines.map((line) => [this.distance(line, commit, y), line.name]);
    const [distance, name] = near.sort((a, b) => a[0] - b[0])[0];
    this.look({ chart: this, commit, name: distance < 24 ? name : null, x: event.clientX, y: event.clientY });
  }

  distance(line, commit, y) {
    const value = this.value(line, commit);
    return value === null ? Infinity : Math.abs(this.y(value) - y);
  }

  value(line, commit) {
    return line.points.find(([at]) => at === commit)?.[1] ?? null;
  }

  pressed(event) {
    const last = this.commits.length - 1;
    if (event.key === "Enter" && this.commit !== null) this.pick(this.commit);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const commit = Math.min(last, Math.max(0, (this.commit ?? last + 1) + step));
    const box = this.root.getBoundingClientRect();
    this.look({ chart: this, commit, name: null, x: box.left + this.x(commit), y: box.top + TOP });
  }

  // Mark a commit, and bring one line to the fore.
  show(commit, name) {
    this.commit = commit;
    for (const part of this.root.querySelectorAll("[data-line]")) {
      part.classList.toggle("back", name !== null && part.dataset.line !== name);
    }
    if (commit === null) return this.cross.replaceChildren();
    const x = this.x(commit);
    this.cross.replaceChildren(svg("line", { x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM }));
  }
}

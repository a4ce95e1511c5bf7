"use strict";

// The page: conditions, regressions, a section for each benchmark, the commits with their messages.

const COLOURS = 7; // after as many lines colours come again, dashed
const DASHES = ["", "6 3", "2 3"];
const MANY = 6; // regressions that are shown at once

const by = (id) => document.getElementById(id);
const site = JSON.parse(by("data").textContent);
const { commits, benchmarks, graphs } = site;
let charts = [];

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const short = (commit) => commit.hash.slice(0, site.hashLength);
const varying = (parameters) => parameters.filter(({ values }) => values.length > 1);

// --- benchmarks and their parameters ---

// The values of the parameters in asv's order: the last one varies fastest.
function combinations(parameters) {
  const extend = (some, { values }) => some.flatMap((begin) => values.map((value) => [...begin, value]));
  return parameters.reduce(extend, [[]]);
}

// A value of a parameter has one colour all over the page.
const valuesOf = new Map();
for (const { name, values } of benchmarks.flatMap(({ parameters }) => parameters)) {
  valuesOf.set(name, [...new Set([...(valuesOf.get(name) ?? []), ...values])]);
}

function style(parameter, value) {
  const i = parameter ? valuesOf.get(parameter.name).indexOf(value) : 0;
  return { colour: `var(--line-${i % COLOURS})`, dash: DASHES[Math.floor(i / COLOURS) % DASHES.length] };
}

// Colours stand for the first parameter that varies; each combination of the others has a panel.
function panels({ parameters, title }, graph) {
  const main = Math.max(0, parameters.indexOf(varying(parameters)[0]));
  const found = new Map();
  combinations(parameters).forEach((values, i) => {
    const points = graph.rows.map(([commit, row]) => [commit, row[i] ?? null]);
    if (points.every(([, value]) => value === null)) return;
    const jumps = regressionsOf(graph).filter(({ line }) => line === i).map(({ at }) => at);
    const line = { name: values[main] ?? title, points, jumps, ...style(parameters[main], values[main]) };
    const panel = pairs(parameters, values, (parameter, j) => j !== main && parameter.values.length > 1);
    found.set(panel, [...(found.get(panel) ?? []), line]);
  });
  return found;
}

function pairs(parameters, values, wanted = () => true) {
  const said = parameters.map((parameter, i) => wanted(parameter, i) && `${parameter.name} = ${values[i]}`);
  return said.filter(Boolean).join(", ");
}

function regressionsOf(graph) {
  return site.regressions.filter((regression) => graphs[regression.graph] === graph);
}

// --- a benchmark ---

function section(benchmark, graph) {
  const { name, title, unit, parameters } = benchmark;
  const found = panels(benchmark, graph);
  if (!found.size) return [];
  const points = [...found.values()].flat().flatMap((line) => line.points);
  const scale = axis(points.map(([, value]) => value).filter((value) => value !== null));
  const common = { commits, scale, unit, look, pick };
  const drawn = [...found].map(([panel, lines]) => new Chart({ title: panel, lines, ...common }));
  charts.push(...drawn);
  const names = varying(parameters).map((parameter) => parameter.name).join(" and ");
  const quantity = unit === "seconds" ? "time" : unit;
  return [html("section", { class: found.size > 1 ? "wide" : "narrow", id: name },
    html("h2", {}, title),
    html("p", { class: "note" }, names ? `${quantity}, by ${names}` : quantity),
    html("div", { class: "panels" }, ...drawn.map(({ figure }) => figure)),
    numbers(drawn))];
}

function numbers(drawn) {
  const box = html("details", {}, html("summary", {}, "Numbers"));
  box.addEventListener("toggle", () => box.childElementCount > 1 || box.append(...drawn.map(table)));
  return box;
}

function table({ title, lines, unit }) {
  const rows = new Set(lines.flatMap(({ points }) => points.map(([commit]) => commit)));
  const value = (line, commit) => line.points.find(([at]) => at === commit)?.[1];
  const row = (commit) => html("tr", {}, html("th", { scope: "row" }, link(commit)),
    ...lines.map((line) => html("td", {}, said(value(line, commit), unit))));
  const names = lines.map(({ name }) => html("th", { scope: "col" }, name));
  return html("div", { class: "table" }, html("table", {},
    html("caption", {}, title),
    html("thead", {}, html("tr", {}, html("td"), ...names)),
    html("tbody", {}, ...[...rows].sort((a, b) => b - a).map(row))));
}

// --- regressions and commits ---

function regressions(found) {
  if (!found.length) return [];
  const items = found.map(regression);
  const [latest, others] = [items.slice(0, MANY), items.slice(MANY)];
  const more = html("details", {}, html("summary", {}, `${others.length} more`), html("ul", {}, ...others));
  return [html("h2", {}, "Regressions"), html("ul", {}, ...latest), ...(others.length ? [more] : [])];
}

function regression({ graph, line, at, before, old, new: now, last }) {
  const { name, title, parameters, unit } = benchmarks.find(({ name }) => name === graphs[graph].benchmark);
  const where = pairs(parameters, combinations(parameters)[line]);
  const when = before === null ? ["at ", link(at)] : ["between ", link(before), " and ", link(at)];
  const [from, to, today] = [old, now, last].map((value) => said(value, unit));
  return html("li", {}, html("b", {}, times(now, old) || "more"), " ", html("a", { href: `#${name}` }, title),
    ` ${where}: ${from} to ${to} `, ...when, to === today ? "" : `; now ${today}`);
}

function link(commit) {
  return html("a", { href: `#${commits[commit].hash}`, title: commits[commit].subject }, short(commits[commit]));
}

function message(commit) {
  const linked = site.commitUrl.startsWith("http");
  const hash = html(linked ? "a" : "code", linked ? { href: site.commitUrl + commit.hash } : {}, short(commit));
  const tags = commit.tags.map((tag) => html("span", { class: "tag" }, tag));
  const body = commit.body ? [html("pre", {}, commit.body)] : [];
  return html("li", { id: commit.hash },
    hash, html("div", {}, html("p", {}, commit.subject, ...tags), ...body), html("time", {}, minute(commit)));
}

// --- under the pointer ---

function look(at) {
  for (const chart of charts) chart.show(at?.commit ?? null, at?.name ?? null);
  const tip = by("tip");
  tip.hidden = !at;
  if (!at) return;
  const commit = commits[at.commit];
  const rows = at.chart.lines.map((line) => ({ line, value: at.chart.value(line, at.commit) }))
    .filter(({ value }) => value !== null).sort((a, b) => b.value - a.value);
  tip.replaceChildren(html("p", {}, html("code", {}, short(commit)), ` ${minute(commit)}`),
    html("p", {}, commit.subject),
    html("table", {}, ...rows.map(({ line, value }) => measured(at, line, value))));
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const left = at.x + 16 + width + 12 > innerWidth ? at.x - 16 - width : at.x + 16;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, Math.min(at.y + 16, innerHeight - height - 8))}px`;
}

function measured({ chart, commit, name }, line, value) {
  const before = line.points.findLast(([at, known]) => at < commit && known !== null)?.[1];
  return html("tr", { class: line.name === name ? "near" : "", style: `--colour: ${line.colour}` },
    html("th", {}, line.name), html("td", {}, said(value, chart.unit)), html("td", {}, times(value, before)));
}

function pick(commit) {
  location.hash = commits[commit].hash;
}

// asv's feed links to a benchmark by its name and a query.
function follow() {
  by(decodeURIComponent(location.hash.slice(1)).split("?")[0])?.scrollIntoView({ block: "center" });
}

// --- the whole ---

// The conditions under which something was measured, those of the latest commit first.
function conditionsOf(graphs) {
  const latest = new Map();
  for (const { conditions, rows } of graphs) {
    const key = JSON.stringify(conditions);
    latest.set(key, Math.max(latest.get(key) ?? 0, rows.at(-1)[0]));
  }
  return [...latest].sort((a, b) => b[1] - a[1]).map(([key]) => JSON.parse(key));
}

// The machine in words, and whatever else asv keeps apart. A path is nobody's business.
function described({ machine, cpu, num_cpu: cores, ram, os, arch, python, branch, ...others }) {
  const memory = /^\d+$/.test(ram) ? said(Number(ram), "bytes") : ram;
  const rest = Object.entries(others).map(([name, value]) => `${name.replace(/^env-/, "")} ${value ?? ""}`);
  return [
    machine, cpu, cores && `${cores} cores`, memory && `${memory} of memory`, os, arch,
    python && !python.includes("/") && `Python ${python}`, branch && `branch ${branch}`, ...rest,
  ].filter(Boolean).join(", ");
}

function draw(conditions) {
  charts = [];
  const shown = graphs.filter((graph) => same(graph.conditions, conditions));
  const sections = benchmarks.flatMap((benchmark) =>
    shown.filter((graph) => graph.benchmark === benchmark.name).flatMap((graph) => section(benchmark, graph)));
  const of = (width) => sections.filter(({ className }) => className === width);
  by("benchmarks").replaceChildren(...of("wide"), ...of("narrow")); // so that no place between stays empty
  for (const chart of charts) chart.draw();
  const found = site.regressions.filter(({ graph }) => shown.includes(graphs[graph]));
  by("regressions").replaceChildren(...regressions(found));
}

function chooser(all) {
  const options = all.map((conditions, i) => html("option", { value: i }, described(conditions)));
  const box = html("select", { "aria-label": "measured on" }, ...options);
  box.addEventListener("change", () => draw(all[box.value]));
  return box;
}

function extent() {
  const [first, last] = [day(commits[0]), day(commits.at(-1))];
  const count = commits.length === 1 ? "One commit" : `${commits.length} commits`;
  return `${count}, ${first === last ? first : `${first} to ${last}`}. Less is better; the scale is logarithmic.`
    + " A click on a graph leads to the commit's message.";
}

function begin() {
  document.title = `${site.project}: benchmark history`;
  by("project").append(site.project, html("span", {}, " benchmark history"));
  if (!commits.length) return by("extent").append("Nothing has been measured yet.");
  by("extent").append(extent());
  const all = conditionsOf(graphs);
  by("conditions").append(all.length > 1 ? chooser(all) : described(all[0]));
  draw(all[0]);
  by("commits").append(html("h2", {}, "Commits"), html("ol", {}, ...commits.map(message).reverse()));
  addEventListener("hashchange", follow);
  return follow();
}

begin();

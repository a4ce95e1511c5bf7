"use strict";

// How values and dates are said, and where a value lies on an axis.

const UNITS = {
  seconds: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
  bytes: [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]],
};

const LEAST_SPAN = Math.log10(2); // an axis spans a factor of two at least: noise is not blown up

function said(value, unit) {
  if (value === null || value === undefined) return "none";
  const units = UNITS[unit];
  if (!units || value === 0) return round(value);
  const [size, name] = units.find(([size]) => Math.abs(value) >= size) ?? units.at(-1);
  return `${round(value / size)} ${name}`;
}

function round(number) {
  const most = Math.abs(number) < 1000 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 };
  return number.toLocaleString("en", most);
}

// A ratio, where it is worth saying.
function times(now, before) {
  const ratio = now / before;
  const little = Math.abs(Math.log(ratio)) < Math.log(1.05);
  return Number.isFinite(ratio) && !little ? `×${round(Number(ratio.toPrecision(2)))}` : "";
}

function day(commit) {
  return new Date(commit.date * 1000).toLocaleDateString("en-GB", {
    day: "numeric", month: "short", year: "numeric",
  });
}

function hour(commit) {
  return new Date(commit.date * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

function minute(commit) {
  return `${day(commit)}, ${hour(commit)}`;
}

// An axis: where a value lies between 0 (bottom) and 1 (top), and which values are worth a tick.
// It is logarithmic, with a place of its own for zero below the rest; negative values make it linear.
function axis(values) {
  const positive = values.filter((value) => value > 0);
  return positive.length && !values.some((value) => value < 0)
    ? logarithmic(Math.min(...positive), Math.max(...positive), values.includes(0))
    : linear(Math.min(...values), Math.max(...values));
}

function logarithmic(least, most, zero) {
  let [low, high] = [Math.log10(least), Math.log10(most)];
  const margin = Math.max(0.05 * (high - low), (LEAST_SPAN - (high - low)) / 2);
  [low, high] = [low - margin, high + margin];
  const floor = zero ? low - 0.15 * (high - low) : low;
  const ticks = logarithmicTicks(low, high);
  return {
    at: (value) => (value === 0 ? 0 : (Math.log10(value) - floor) / (high - floor)),
    ticks: zero ? [0, ...ticks] : ticks,
  };
}

// Powers of ten if there are some of them, and finer steps if there are not.
function logarithmicTicks(low, high) {
  let ticks = [];
  for (const steps of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]]) {
    ticks = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const step of steps) ticks.push(step * 10 ** power);
    }
    ticks = ticks.filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high);
    if (ticks.length >= 3) break;
  }
  const every = Math.ceil(ticks.length / 6);
  return ticks.filter((_, i) => i % every === 0);
}

function linear(least, most) {
  const span = most - least || Math.abs(most) || 1;
  const [low, high] = [least - 0.05 * span, most + 0.05 * span];
  const power = 10 ** Math.floor(Math.log10(span / 3));
  const step = [1, 2, 5, 10].map((times) => times * power).find((step) => span / step <= 5);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step);
  return { at: (value) => (value - low) / (high - low), ticks };
}

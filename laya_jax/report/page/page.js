"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { samples, class_names: classNames, layers } = data;
const PAGE = 48;
const at = (id) => document.getElementById(id);
const number = samples.labels.length;
const weighs = samples.layers !== null;
const tops = weighs ? samples.layers.shares.map((row) => row.indexOf(Math.max(...row))) : [];
// The place of each sample among those of its class: in this order, all classes are seen at once.
const seen = classNames.map(() => 0);
const turn = samples.labels.map((label) => seen[label]++);
const depth = (layer) => (layer / Math.max(1, layers.length - 1)).toFixed(3);
const state = { shown: [], page: 0, open: -1 };

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function chosen() {
  const wanted = { label: at("class").value, outcome: at("outcome").value, top: weighs ? at("top").value : "" };
  const rows = [];
  for (let i = 0; i < number; i++) {
    const right = samples.labels[i] === samples.predicted[i];
    if (wanted.label !== "" && samples.labels[i] !== Number(wanted.label)) continue;
    if (wanted.outcome !== "" && right !== (wanted.outcome === "correct")) continue;
    if (wanted.top !== "" && tops[i] !== Number(wanted.top)) continue;
    rows.push(i);
  }
  const keys = { mixed: [turn, 1], unsure: [samples.probability, 1], sure: [samples.probability, -1], suspicious: [samples.suspicion, -1] };
  const [values, sign] = keys[at("order").value] ?? [];
  if (values) rows.sort((a, b) => sign * (values[a] - values[b]) || samples.labels[a] - samples.labels[b] || a - b);
  return rows;
}

// Thumbnails share a sheet: positions and sizes in percent make them fit any width.
function picture(i) {
  const { sheets, columns, on_sheet: onSheet, width, height } = samples.pictures;
  const sheet = Math.floor(i / onSheet), place = i % onSheet;
  const rows = Math.ceil(Math.min(onSheet, number - sheet * onSheet) / columns);
  const along = (index, of) => `${of > 1 ? (100 * index) / (of - 1) : 0}%`;
  const made = element("span", width < 48 ? "picture small" : "picture");
  made.style.aspectRatio = `${width} / ${height}`;
  made.style.backgroundImage = `url(${sheets[sheet]})`;
  made.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  made.style.backgroundPosition = `${along(place % columns, columns)} ${along(Math.floor(place / columns), rows)}`;
  return made;
}

function said(i) {
  const right = samples.labels[i] === samples.predicted[i], line = element("span", "said");
  line.append(element("span", right ? "right" : "wrong", classNames[samples.predicted[i]]));
  line.append(` ${(samples.probability[i] / 10).toFixed(0)}%`);
  if (!right) line.append(`, true class ${classNames[samples.labels[i]]}`);
  return line;
}

function stack(i) {
  const bar = element("span", "stack"), values = samples.layers.contributions[i];
  const largest = Math.max(1, ...values.map(Math.abs));
  values.forEach((value, layer) => {
    const part = element("span", value < 0 ? "against" : "");
    part.style.setProperty("--depth", depth(layer));
    part.style.setProperty("--up", (Math.abs(value) / largest).toFixed(3));
    bar.append(part);
  });
  bar.title = values.map((value, layer) => `${layers[layer]} ${(value / 100).toFixed(2)}`).join(", ");
  bar.setAttribute("aria-hidden", "true");
  return bar;
}

function card(i, place) {
  const made = element("button", "sample");
  made.type = "button";
  if (samples.labels[i] !== samples.predicted[i]) made.dataset.wrong = "";
  if (samples.pictures) made.append(picture(i));
  if (samples.texts) made.append(element("span", "text", samples.texts[i]));
  made.append(said(i));
  if (weighs) made.append(stack(i));
  made.addEventListener("click", () => open(place));
  return made;
}

function draw() {
  const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
  state.page = Math.min(state.page, pages - 1);
  const first = state.page * PAGE;
  at("samples").classList.toggle("texts", Boolean(samples.texts));
  at("samples").replaceChildren(...state.shown.slice(first, first + PAGE).map((i, place) => card(i, first + place)));
  at("count").textContent = `${state.shown.length.toLocaleString("en")} of ${number.toLocaleString("en")} samples`
    + (data.examples > number ? `, the first of ${data.examples.toLocaleString("en")} examples` : "");
  at("page").textContent = `page ${state.page + 1} of ${pages}`;
  at("previous").disabled = state.page === 0;
  at("next").disabled = state.page === pages - 1;
}

function refilter() {
  state.shown = chosen();
  state.page = 0;
  draw();
}

function mark(layer) {
  const made = element("span", "mark");
  made.style.setProperty("--depth", depth(layer));
  return made;
}

function layerTable(i) {
  const table = element("table"), { attention, contributions } = samples.layers, head = element("tr");
  for (const name of ["layer", `contribution to “${classNames[samples.predicted[i]]}”`, "", "attention"]) head.append(element("th", "", name));
  table.append(element("thead"));
  table.tHead.append(head);
  const body = table.createTBody(), largest = Math.max(1, ...contributions[i].map(Math.abs));
  layers.forEach((name, layer) => {
    const row = body.insertRow(), value = contributions[i][layer], cell = element("th");
    cell.scope = "row";
    cell.append(mark(layer), name);
    row.append(cell);
    row.insertCell().textContent = (value / 100).toFixed(2);
    const signed = row.insertCell(), bar = mark(layer), width = (48 * Math.abs(value)) / largest;
    signed.className = "signed";
    bar.style.width = `${width}%`;
    bar.style.left = `${value < 0 ? 50 - width : 50}%`;
    signed.append(bar);
    row.insertCell().textContent = (attention[i][layer] / 1000).toFixed(3);
  });
  return table;
}

function open(place) {
  state.open = place;
  const i = state.shown[place];
  at("detail-title").textContent = `Sample ${i}`;
  const body = [];
  if (samples.pictures) body.push(picture(i));
  if (samples.texts) body.push(element("p", "", samples.texts[i]));
  const line = element("p");
  line.append("predicted ", said(i));
  body.push(line);
  if (weighs) {
    body.push(layerTable(i));
    body.push(element("p", "said", "Contributions are relative to what the layer adds to the average class: above 0 in favour of the prediction, below 0 against it. Attention says only how much a layer is weighed."));
  }
  at("detail-body").replaceChildren(...body);
  at("detail-previous").disabled = place === 0;
  at("detail-next").disabled = place === state.shown.length - 1;
  if (!at("detail").open) at("detail").showModal();
}

function move(by) {
  const place = state.open + by;
  if (place >= 0 && place < state.shown.length) open(place);
}

function leaf(by) {
  state.page += by;
  draw();
  at("gallery").scrollIntoView();
}

function showTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  at("theme").textContent = dark ? "Light" : "Dark";
  at("theme").setAttribute("aria-pressed", String(dark));
}

const dark = matchMedia("(prefers-color-scheme: dark)");
showTheme(dark.matches);
dark.addEventListener("change", () => showTheme(dark.matches));
at("theme").addEventListener("click", () => showTheme(document.documentElement.dataset.theme !== "dark"));
at("filters").addEventListener("change", refilter);
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("previous").addEventListener("click", () => leaf(-1));
at("next").addEventListener("click", () => leaf(1));
at("detail-previous").addEventListener("click", () => move(-1));
at("detail-next").addEventListener("click", () => move(1));
at("detail-close").addEventListener("click", () => at("detail").close());
at("detail").addEventListener("close", () => {
  const page = Math.floor(state.open / PAGE);
  if (page !== state.page) { state.page = page; draw(); }
  at("samples").children[state.open - page * PAGE]?.focus();
});
document.addEventListener("keydown", (event) => {
  if (!at("detail").open) return;
  if (event.key === "ArrowLeft") move(-1);
  if (event.key === "ArrowRight") move(1);
});
refilter();

/* ---- heat map: edges down, layers across ---- */

/* value: of a record; bad: "low" or "high" gets the strong colour; scale: "linear" between the extremes,
 * "zero" from 0, "log" between the extremes above 0, "around" from an eighth to eight times 1, two colours. */
const MEASURES = [
    { id: "sqnr", name: "SQNR", value: (e) => e.sqnr_db, form: (x) => withUnit(x, "dB"), bad: "low", scale: "linear",
      help: "signal to error, dB, against the first run; strong colour: noisy" },
    { id: "rms", name: "RMS error", value: (e) => e.rms_error, form: number, bad: "high", scale: "log",
      help: "root mean square of the difference to the first run, logarithmic" },
    { id: "flips", name: "code flips", value: (e) => e.code_flip_share, form: percent, bad: "high", scale: "zero",
      help: "share of codes that are not the first run's" },
    { id: "saturated", name: "saturated codes", value: (e) => e.saturated_share, form: percent, bad: "high", scale: "log",
      help: "share of this run's codes that were clipped, logarithmic" },
    { id: "range", name: "range used", value: (e) => e.range_share, form: percent, bad: "high", scale: "around",
      help: "largest magnitude by 127 scales of the edge's INT8 format; brown: it would clip, blue: codes are left unused" },
];
const STEPS = 16, STEPS_AROUND = 15; /* colours s0 .. and d0 .. of compare.css */
const ERRORS = ["sqnr", "rms", "flips"]; /* measures of a difference, which can be none */

const SQNR_CAP = 50, DECADES = 4; /* what is better than this has the faintest colour, so that the rest is told apart */

/* The scale of a measure, the same for every run: {low, high, log, capped: the harmless end stands for all beyond
 * it}, or null when no cell has a value. */
function extent(doc, measure) {
    if (measure.scale === "around") return { low: 1 / 8, high: 8, log: true };
    const log = measure.scale === "log";
    const values = list(doc.edges).map(measure.value).filter((x) => isNumber(x) && (!log || x > 0));
    if (!values.length) return null;
    let low = Infinity, high = -Infinity;
    for (const x of values) { low = Math.min(low, x); high = Math.max(high, x); }
    const least = log ? Math.max(low, high / 10 ** DECADES) : measure.scale === "zero" ? 0 : low;
    const most = measure.id === "sqnr" ? Math.max(low, Math.min(high, SQNR_CAP)) : high;
    return { low: least, high: most, log, capped: least > low || most < high };
}
/* The colour of a value: from harmless to strong, or from far below to far above 1. */
function colourOf(value, range, measure) {
    const { low, high, log } = range;
    const t = high > low ? (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)) : 0.5;
    const share = Math.min(1, Math.max(0, measure.bad === "low" ? 1 - t : t));
    const n = measure.scale === "around" ? STEPS_AROUND : STEPS;
    return (measure.scale === "around" ? "d" : "s") + Math.min(n - 1, Math.floor(share * n));
}

/* How a record is shown: by a step of colour, or as equal or not defined. */
function shade(record, range, measure) {
    if (!record) return "absent";
    if (ERRORS.includes(measure.id) && record.max_error === 0) return "equal";
    const value = measure.value(record);
    if (!isNumber(value) || !range) return "undefined";
    return range.log && value === 0 ? "zero" : colourOf(value, range, measure);
}
function said(record, measure) {
    if (!record) return "not measured";
    if (ERRORS.includes(measure.id) && record.max_error === 0) return "equal bit for bit";
    const value = measure.value(record);
    return isNumber(value) ? measure.form(value) : "not defined";
}

const key = (run, layer, edge) => `${run}|${layer}|${edge}`;

/* The rows and columns: an edge has a cell at a layer where any run has a record there. */
function heatCells(doc) {
    const layers = new Set(), cells = new Map();
    for (const record of list(doc.edges)) {
        layers.add(record.layer);
        if (!cells.has(record.edge)) cells.set(record.edge, new Set());
        cells.get(record.edge).add(record.layer);
    }
    const names = [...new Set([...list(doc.edge_names), ...cells.keys()])].filter((name) => cells.has(name));
    return { names, layers: [...layers].sort((a, b) => a - b), cells };
}
const layerName = (doc, layer) => (isNumber(doc.layers) && layer >= doc.layers ? "after the last layer" : `layer ${layer}`);

function drawHeat(doc, state, index, grid, width, choose) {
    const measure = MEASURES.find((m) => m.id === state.measure), range = extent(doc, measure);
    byId("measure-help").textContent = measure.help;
    const left = Math.min(14, Math.max(4, ...grid.names.map((name) => name.length))) * 7.4 + 8, top = 22;
    const cell = Math.max(11, Math.min(44, Math.floor((width - left - 2) / grid.layers.length))), row = 24;
    const wide = left + cell * grid.layers.length + 2, height = top + grid.names.length * row + 2;
    const every = [1, 2, 4, 5, 8, 10, 16, 20].find((n) => n * cell >= 22) || 32;
    const picture = drawing(wide, height, { role: "grid", class: "heat", "aria-label": `${measure.name} of run ${string(doc.runs[state.run].name)} by edge and layer`,
        "aria-describedby": "heat-hint", "aria-rowcount": grid.names.length, "aria-colcount": grid.layers.length });
    const head = svg("g", { "aria-hidden": "true" }), ended = grid.layers.some((layer) => isNumber(doc.layers) && layer >= doc.layers);
    grid.layers.forEach((layer, c) => {
        const last = isNumber(doc.layers) && layer >= doc.layers;
        if (!last && layer % every === 0 && !(ended && left + (c + 0.5) * cell > wide - 36))
            head.append(text(left + (c + 0.5) * cell, 14, { "text-anchor": "middle", class: "tick" }, String(layer)));
        if (last) head.append(text(left + (c + 1) * cell, 14, { "text-anchor": "end", class: "tick" }, "end"));
    });
    picture.append(head);
    let chosen = null;
    grid.names.forEach((name, r) => {
        const group = svg("g", { role: "row", "aria-label": name });
        group.append(text(left - 8, top + r * row + 16, { "text-anchor": "end", class: "name", role: "rowheader" }, shorten(name, 14)));
        grid.layers.forEach((layer, c) => {
            if (!grid.cells.get(name).has(layer)) return;
            const record = index.get(key(state.run, layer, name)), here = state.edge === name && state.layer === layer;
            const words = `${layerName(doc, layer)}, ${name}: ${said(record, measure)}`;
            const box = { x: left + c * cell, y: top + r * row, width: cell - 1, height: row - 1 };
            const kind = shade(record, range, measure);
            const rect = svg("rect", { ...box, class: "cell " + kind, role: "gridcell", tabindex: here ? 0 : -1,
                "aria-selected": here ? "true" : "false", "aria-label": words, "data-edge": name, "data-layer": layer },
                svg("title", {}, words));
            rect.addEventListener("click", () => choose(name, layer, true));
            group.append(rect);
            const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
            if (kind === "equal") group.append(svg("circle", { cx: middle.x, cy: middle.y, r: 1.5, class: "mark" }));
            if (kind === "undefined" || kind === "absent")
                group.append(line(middle.x - 3, middle.y, middle.x + 3, middle.y, { class: "mark" }));
            if (here) chosen = svg("rect", { ...box, class: "selection" });
        });
        picture.append(group);
    });
    if (chosen) picture.append(chosen);
    picture.addEventListener("keydown", (event) => move(event, state, grid, choose));
    byId("heat").replaceChildren(html("div", { class: "scroll" }, picture), legend(measure, range, doc, state, index, grid, choose, width));
}

/* An arrow goes to the next cell there is in that direction. */
function move(event, state, grid, choose) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const here = { row: grid.names.indexOf(state.edge), column: grid.layers.indexOf(state.layer) };
    const filled = (name) => grid.layers.filter((layer) => grid.cells.get(name).has(layer));
    let { row, column } = here;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Home" || event.key === "End") {
        const all = filled(state.edge);
        choose(state.edge, event.key === "Home" ? all[0] : all[all.length - 1], true);
    } else if (steps[event.key]) {
        row += steps[event.key][0];
        column += steps[event.key][1];
        const name = grid.names[row];
        if (name !== undefined && row !== here.row) { /* the nearest layer that this edge has */
            const near = filled(name).sort((a, b) => Math.abs(a - state.layer) - Math.abs(b - state.layer));
            choose(name, near[0], true);
        } else if (name !== undefined && grid.layers[column] !== undefined && grid.cells.get(name).has(grid.layers[column]))
            choose(name, grid.layers[column], true);
    } else return;
    event.preventDefault();
}

/* The cell with the strongest colour. */
function worst(doc, state, index, grid) {
    const measure = MEASURES.find((m) => m.id === state.measure);
    let found = null;
    for (const name of grid.names)
        for (const layer of grid.cells.get(name)) {
            const record = index.get(key(state.run, layer, name)), value = record && measure.value(record);
            if (!isNumber(value) || (ERRORS.includes(measure.id) && record.max_error === 0)) continue;
            if (measure.scale !== "linear" && value === 0) continue;
            const strength = measure.scale === "around" ? Math.abs(Math.log(value)) : measure.bad === "low" ? -value : value;
            if (!found || strength > found.strength) found = { name, layer, value, strength };
        }
    return found;
}

function legend(measure, range, doc, state, index, grid, choose, width) {
    const place = html("figcaption", { class: "legend" });
    if (range) {
        const around = measure.scale === "around", n = around ? STEPS_AROUND : STEPS;
        const w = Math.min(320, width - 8), part = w / n, low = measure.bad === "low" ? range.high : range.low,
              high = measure.bad === "low" ? range.low : range.high;
        const middle = range.log ? Math.sqrt(low * high) : (low + high) / 2, bar = drawing(w, 32, { role: "img",
            "aria-label": `Colour scale: ${measure.form(low)} to ${measure.form(high)}, the same for all runs` });
        for (let i = 0; i < n; i++)
            bar.append(svg("rect", { x: i * part, y: 0, width: part + 0.5, height: 12, class: (around ? "d" : "s") + i }));
        const beyond = !range.capped ? "" : measure.bad === "low" ? "≥ " : "≤ ";
        bar.append(text(0, 27, { class: "tick" }, beyond + measure.form(low)),
            text(w / 2, 27, { class: "tick", "text-anchor": "middle" }, measure.form(middle)),
            text(w, 27, { class: "tick", "text-anchor": "end" }, measure.form(high)));
        place.append(bar);
    }
    const sample = (kind, mark, words) => html("span", {}, drawing(18, 14, { "aria-hidden": "true" },
        svg("rect", { x: 0.5, y: 0.5, width: 17, height: 13, class: "cell " + kind }), mark || ""), " " + words);
    if (measure.id === "saturated") place.append(sample("zero", null, "none"));
    if (ERRORS.includes(measure.id)) place.append(sample("equal", svg("circle", { cx: 9, cy: 7, r: 1.5, class: "mark" }), "equal bit for bit"));
    place.append(sample("undefined", line(6, 7, 12, 7, { class: "mark" }), "no value"));
    const w = worst(doc, state, index, grid);
    if (w) {
        const button = html("button", { type: "button", class: "link" }, `${w.name}, ${layerName(doc, w.layer)}: ${measure.form(w.value)}`);
        button.addEventListener("click", () => choose(w.name, w.layer, true));
        place.append(html("span", {}, "strongest: ", button));
    }
    return place;
}

function drawHeatTable(doc, state, index, grid) {
    const measure = MEASURES.find((m) => m.id === state.measure);
    byId("heat-table").replaceChildren(table(`${measure.name} of run ${string(doc.runs[state.run].name)}: ${measure.help}`,
        ["edge", ...grid.layers.map((layer) => (isNumber(doc.layers) && layer >= doc.layers ? "end" : String(layer)))],
        grid.names.map((name) => [name, ...grid.layers.map((layer) => {
            if (!grid.cells.get(name).has(layer)) return "";
            const record = index.get(key(state.run, layer, name));
            return record && ERRORS.includes(measure.id) && record.max_error === 0 ? "equal" : measure.form(record && measure.value(record));
        })])));
}

/* ---- one dot with its interval per run ---- */

const ROW = 22, AXIS = 26;

function shorten(name, n) {
    const letters = Array.from(name);
    return letters.length > n ? letters.slice(0, n - 1).join("") + "…" : name;
}

/* rows: {name, value, low, high, open, chosen}, numbers or null; open: a hollow dot.  reference: a
 * vertical line, or null.  form: a number as text. */
function dotPlot(title, rows, reference, width, form) {
    const longest = Math.max(...rows.map((row) => Array.from(row.name).length));
    const left = Math.min(12, longest) * 7.5 + 12, right = width - 14, height = rows.length * ROW;
    const known = rows.flatMap((row) => [row.value, row.low, row.high]).concat(reference).filter(isNumber);
    let low = Math.min(...known), high = Math.max(...known);
    if (!(high > low)) { /* one value only: some room around it */
        const room = Math.abs(low) * 0.1 || 1;
        [low, high] = [low - room, high + room];
    }
    const pad = (high - low) * 0.04;
    const x = (value) => left + ((value - low + pad) / (high - low + 2 * pad)) * (right - left);
    const marks = ticks(low, high, Math.max(3, Math.floor((right - left) / 65)));
    const said = rows.map((row) => `${row.name} ${form(row.value)}` +
        (isNumber(row.low) ? ` (${form(row.low)} to ${form(row.high)})` : "")).join("; ");
    const picture = drawing(width, height + AXIS, { role: "img", class: "plot", "aria-label": `${title}: ${said}` },
        ...marks.map((mark) => line(x(mark.value), 0, x(mark.value), height, { class: "grid" })),
        ...marks.map((mark) => text(x(mark.value), height + 17, { class: "tick", "text-anchor": "middle" }, mark.text)),
        isNumber(reference) ? line(x(reference), 0, x(reference), height, { class: "reference" }) : null);
    rows.forEach((row, i) => {
        const y = i * ROW + ROW / 2, whole = svg("g", { class: row.chosen ? "run chosen" : "run" });
        whole.append(svg("title", {}, `${row.name}: ${form(row.value)}`),
            svg("rect", { x: 0, y: y - ROW / 2, width, height: ROW, class: "band" }),
            text(left - 10, y + 4, { "text-anchor": "end" }, shorten(row.name, 12)));
        if (isNumber(row.low) && isNumber(row.high))
            whole.append(line(x(row.low), y, x(row.high), y, { class: "whisker" }),
                line(x(row.low), y - 4, x(row.low), y + 4, { class: "whisker" }),
                line(x(row.high), y - 4, x(row.high), y + 4, { class: "whisker" }));
        if (isNumber(row.value))
            whole.append(svg("circle", { cx: x(row.value), cy: y, r: 4, class: row.open ? "dot open" : "dot" }));
        else whole.append(text(left + 4, y + 4, { class: "tick" }, "not defined"));
        picture.append(whole);
    });
    return html("figure", { class: "small" }, html("figcaption", {}, title), picture);
}

/* How wide each of n plots gets that stand side by side in that width: the grid of compare.css. */
function plotWidth(width, n) {
    const gap = 28, least = 300;
    const columns = Math.max(1, Math.min(n, Math.floor((width + gap) / (least + gap))));
    return Math.floor((width - gap * (columns - 1)) / columns);
}

/* ---- the first place where a run is not the first run ---- */

/* At most 15 rows: the ones around the fullest, and the rest of either side as one. */
function folded(rows) {
    const full = rows.reduce((best, row, i) => (row.count > rows[best].count ? i : best), 0);
    const first = Math.max(0, full - 6), end = Math.min(rows.length, full + 7);
    const together = (part) => (part.length < 2 ? part : [{ difference: `${part[0].difference} … ${part[part.length - 1].difference}`,
        count: part.reduce((sum, row) => sum + (isNumber(row.count) ? row.count : 0), 0) }]);
    return [...together(rows.slice(0, first)), ...rows.slice(first, end), ...together(rows.slice(end))];
}

function drawParting(doc) {
    const place = byId("parting-body"), found = list(doc.first_divergence), name = (r) => string((doc.runs[r] || {}).name);
    if (!found.length) {
        byId("parting").hidden = doc.first_divergence === null || doc.first_divergence === undefined;
        place.append(html("p", { class: "lead" }, "No run parts from the first."));
        return;
    }
    const apart = new Set(found.map((d) => d.run)), equal = doc.runs.map((run, r) => r).filter((r) => r > 0 && !apart.has(r));
    const side = (value) => { const v = value || {}; return [number(v.value, 7), number(v.code), { text: string(v.hex), class: "code" }]; };
    place.append(table(`The first layer, edge, token and channel where a run is not ${name(0)}`,
        ["run", "layer", "edge", "text", "token", "channel", `${name(0)}: value`, "code", "hex", "run: value", "code", "hex", "differ there"],
        found.map((d) => [name(d.run), number(d.layer), string(d.edge), number(d.piece), number(d.token), number(d.channel),
            ...side(d.first), ...side(d.other), isNumber(d.n) ? `${count(d.n_differ)} of ${count(d.n)}` : DASH]), [2]));
    if (equal.length)
        place.append(html("p", { class: "hint" }, `Equal to ${name(0)} bit for bit at every edge that was compared: ${equal.map(name).join(", ")}.`));
    place.append(html("div", { class: "plots" }, ...found.filter((d) => list(d.histogram).length).map((d) => {
        const rows = folded(d.histogram), most = Math.max(1, ...rows.map((row) => (isNumber(row.count) ? row.count : 0)));
        const picture = drawing(300, rows.length * 18 + 4, { role: "img", class: "plot", "aria-label":
            rows.map((row) => `${string(row.difference)}: ${number(row.count)}`).join("; ") });
        rows.forEach((row, i) => picture.append(
            text(124, i * 18 + 14, { "text-anchor": "end", class: "tick" }, shorten(string(row.difference), 19)),
            svg("rect", { x: 130, y: i * 18 + 4, width: ((isNumber(row.count) ? row.count : 0) / most) * 100, height: 12, class: "bar" }),
            text(236, i * 18 + 14, { class: "tick" }, count(row.count))));
        const unit = { codes: "in codes", steps: "in steps of the scale", ulp: "in units of the last place" }[d.unit] || string(d.unit);
        return html("figure", { class: "small" }, html("figcaption", {}, `${name(d.run)}: differences there, ${unit}`), picture);
    })));
}

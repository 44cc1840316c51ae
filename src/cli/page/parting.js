/* ---- the first place where a run is not the first run ---- */

function drawParting(doc) {
    const place = byId("parting-body"), found = list(doc.first_divergence), name = (r) => string((doc.runs[r] || {}).name);
    if (!found.length) {
        byId("parting").hidden = doc.first_divergence === null || doc.first_divergence === undefined;
        place.append(html("p", { class: "lead" }, "No run parts from the first."));
        return;
    }
    const side = (value) => { const v = value || {}; return [number(v.value, 7), number(v.code), { text: string(v.hex), class: "code" }]; };
    place.append(table(`The first layer, edge, token and channel where a run is not ${name(0)}`,
        ["run", "layer", "edge", "token", "channel", `${name(0)}: value`, "code", "hex", "run: value", "code", "hex"],
        found.map((d) => [name(d.run), number(d.layer), string(d.edge), number(d.token), number(d.channel), ...side(d.first), ...side(d.other)]), [2]));
    place.append(html("div", { class: "plots" }, ...found.filter((d) => list(d.histogram).length).map((d) => {
        const rows = d.histogram, most = Math.max(1, ...rows.map((row) => (isNumber(row.count) ? row.count : 0)));
        const picture = drawing(300, rows.length * 18 + 4, { role: "img", class: "plot", "aria-label":
            rows.map((row) => `${string(row.difference)}: ${number(row.count)}`).join("; ") });
        rows.forEach((row, i) => picture.append(
            text(76, i * 18 + 14, { "text-anchor": "end", class: "tick" }, shorten(string(row.difference), 11)),
            svg("rect", { x: 84, y: i * 18 + 4, width: ((isNumber(row.count) ? row.count : 0) / most) * 140, height: 12, class: "bar" }),
            text(230, i * 18 + 14, { class: "tick" }, count(row.count))));
        const unit = d.unit === "codes" ? "codes" : d.unit === "ulp" ? "units in the last place" : string(d.unit);
        return html("figure", { class: "small" }, html("figcaption", {}, `${name(d.run)}: differences there, ${unit}`), picture);
    })));
}

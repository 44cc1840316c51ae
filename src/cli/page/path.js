/* ---- the datapath as a block diagram: blocks and rails left, the format of every edge right ---- */

/* From top to bottom.  block: what is written in it; at: the wire that the edges lie on, where it is
 * not the block itself; mark: a height that rails begin or end at.  The names are those of
 * src/datapath/edges.c; a name that is not here comes last. */
const PATH = [
    { mark: "residual" },
    { block: "RMSNorm" },
    { block: "in_proj", mark: "in_proj" },
    { at: "spine", edges: ["in_proj x half", "conv input"] },
    { block: "conv1d", edges: ["conv weight, bias", "conv accumulator"] },
    { block: "SiLU", edges: ["SiLU"] },
    { at: "spine", edges: ["conv output"] },
    { mark: "u" },
    { at: "spine", edges: ["x_proj input"] },
    { block: "x_proj" },
    { at: "spine", edges: ["dt_r, B, C"] },
    { mark: "B, C" },
    { block: "dt_proj, softplus" },
    { at: "spine", edges: ["dt"] },
    { at: "u", edges: ["u at the scan door"] },
    { block: "selective scan", mark: "scan",
      edges: ["u inside the scan", "scan kernel", "state in prefill", "state handed to decode"] },
    { block: "× SiLU(z)", mark: "gate", edges: ["gate z"] },
    { at: "spine", edges: ["scan output"] },
    { block: "Hadamard", edges: ["Hadamard, quantize"] },
    { block: "out_proj", edges: ["out_proj"] },
    { mark: "sum" },
];
const RAIL = { residual: 12, u: 32, spine: 104, bc: 174, z: 188 }, BOX = { left: 46, right: 162 }, LABELS = 204;
const LETTER = 7.3, LINE = 17; /* of the monospaced text */

/* Words in lines of at most n letters; longer words are cut. */
function wrap(string, n) {
    const lines = [];
    let current = "";
    for (let word of string.split(/\s+/)) {
        if (current && Array.from(current + " " + word).length <= n) { current += " " + word; continue; }
        if (current) lines.push(current);
        for (; Array.from(word).length > n; word = Array.from(word).slice(n).join(""))
            lines.push(Array.from(word).slice(0, n).join(""));
        current = word;
    }
    return lines.concat(current);
}

function formatsOf(run) {
    return new Map(list(run && run.formats).map((row) => [string(row.edge), string(row.format)]));
}
function edgesOf(doc) {
    return [...new Set(doc.runs.flatMap((run) => [...formatsOf(run).keys()]))];
}

function drawPath(doc, state, width) {
    const run = doc.runs[state.run], here = formatsOf(run), first = formatsOf(doc.runs[0]), all = edgesOf(doc);
    const differs = (edge) => here.has(edge) && first.has(edge) && here.get(edge) !== first.get(edge);
    const n = all.filter(differs).length;
    byId("path-lead").textContent = here.size === 0
        ? `${string(run.name)}: ${string(run.summary)}. No edge is quantized.`
        : state.run === 0 ? `${string(run.name)}: ${string(run.summary)}. Every other run is compared with it.`
        : first.size === 0 ? `${string(run.name)}: ${string(run.summary)}. The first run, ${string(doc.runs[0].name)}, has no quantized edge to compare with.`
        : `${string(run.name)}: ${string(run.summary)}. ` +
          (n === 0 ? `Every edge as in ${string(doc.runs[0].name)}.` : `${n} of ${here.size} edges differ from ${string(doc.runs[0].name)}; they are marked.`);

    const known = new Set(PATH.flatMap((step) => step.edges || []));
    const steps = PATH.concat(all.some((edge) => !known.has(edge)) ? [{ edges: all.filter((edge) => !known.has(edge)) }] : []);
    const wide = width >= 760, total = Math.min(width, 1080), nameWidth = wide ? 188 : 0;
    const columns = wide ? (total - LABELS - nameWidth) / 2 : total - LABELS;
    const letters = Math.max(8, Math.floor((columns - 14) / LETTER));
    const under = svg("g", { class: "leaders" }), wires = svg("g", { class: "wires" }), boxes = svg("g"), labels = svg("g");
    const at = {}, arrow = (x, y, dx, dy) => wires.append(svg("path", { class: "arrow",
        d: `M${x} ${y}L${x - 7 * dx + 4 * dy} ${y - 7 * dy + 4 * dx}L${x - 7 * dx - 4 * dy} ${y - 7 * dy - 4 * dx}Z` }));
    const wire = (...points) => wires.append(svg("path", { d: "M" + points.map((p) => p.join(" ")).join("L") }));

    /* One label: its name and format, and the first run's where that is another; returns its height. */
    function label(edge, y, anchor) {
        const changed = differs(edge), lines = wrap(here.has(edge) ? here.get(edge) : DASH, letters);
        const other = changed ? wrap(wide ? first.get(edge) : `${string(doc.runs[0].name)}: ${first.get(edge)}`, letters) : [];
        const begin = wide ? 0 : 1, x = LABELS + nameWidth;
        const rows = wide ? Math.max(lines.length, other.length) : 1 + lines.length + other.length;
        const group = svg("g", { class: changed ? "label changed" : "label" });
        if (changed) group.append(svg("rect", { x: LABELS - 6, y: y - 1, width: total - LABELS + 6, height: rows * LINE + 3, rx: 3 }),
            svg("rect", { x: LABELS - 6, y: y - 1, width: 3, height: rows * LINE + 3, class: "edge" }));
        group.append(text(LABELS + 4, y + 13, { class: wide ? "name" : "name small" }, edge));
        lines.forEach((part, i) => group.append(text(x + 4, y + 13 + (begin + i) * LINE, { class: "format" }, part)));
        other.forEach((part, i) => group.append(text(wide ? x + columns + 4 : x + 4,
            y + 13 + (begin + i + (wide ? 0 : lines.length)) * LINE, { class: "format old" }, part)));
        labels.append(group);
        if (anchor !== null) {
            under.append(line(anchor, y + 9, LABELS - 8, y + 9));
            if (anchor !== BOX.right) wires.append(svg("circle", { cx: anchor, cy: y + 9, r: 3 }));
        }
        return rows * LINE + 5;
    }

    let y = 8;
    if (wide) {
        const head = (x, string) => labels.append(text(x + 4, 14, { class: "head" }, string));
        head(LABELS, "edge");
        head(LABELS + nameWidth, `run ${shorten(string(run.name), 20)}`);
        if (state.run !== 0) head(LABELS + nameWidth + columns, `first run, ${shorten(string(doc.runs[0].name), 20)}, where it differs`);
        y = 26;
    }
    let above = y - 8; /* where the spine was last left */
    for (const step of steps) {
        const edges = (step.edges || []).filter((edge) => all.includes(edge));
        if (step.block) {
            y += 10;
            wire([RAIL.spine, above], [RAIL.spine, y]);
            arrow(RAIL.spine, y, 0, 1);
            const top = y;
            for (const edge of edges) y += label(edge, edges.length > 1 ? y : y + 4, BOX.right);
            y = Math.max(y, top + 27);
            const middle = (top + y) / 2;
            boxes.append(svg("rect", { x: BOX.left, y: top, width: BOX.right - BOX.left, height: y - top, rx: 4, class: "box" }),
                text(RAIL.spine, middle + 4, { "text-anchor": "middle", class: "block" }, step.block));
            if (step.mark) at[step.mark] = middle;
            above = y;
        } else if (step.mark === "sum") {
            y += 24;
            wire([RAIL.spine, above], [RAIL.spine, y - 10]);
            arrow(RAIL.spine, y - 10, 0, 1);
            boxes.append(svg("circle", { cx: RAIL.spine, cy: y, r: 10, class: "box" }),
                text(RAIL.spine, y + 5, { "text-anchor": "middle", class: "block" }, "+"));
            wire([RAIL.spine, y + 10], [RAIL.spine, y + 30]);
            arrow(RAIL.spine, y + 30, 0, 1);
            labels.append(text(LABELS + 4, y + 4, { class: "name" }, "residual stream"));
            under.append(line(RAIL.spine + 10, y, LABELS - 8, y));
            at.sum = y;
            y += 32;
        } else if (step.mark) {
            y += 9;
            at[step.mark] = y;
            wires.append(svg("circle", { cx: RAIL.spine, cy: y, r: 2 }));
        } else {
            y += 5;
            for (const edge of edges) y += label(edge, y, step.at ? RAIL[step.at] : null);
        }
    }
    wire([RAIL.spine, at.residual], [RAIL.residual, at.residual], [RAIL.residual, at.sum], [RAIL.spine - 10, at.sum]);
    arrow(RAIL.spine - 10, at.sum, 1, 0);
    wire([BOX.right, at.in_proj], [RAIL.z, at.in_proj], [RAIL.z, at.gate], [BOX.right, at.gate]);
    arrow(BOX.right, at.gate, -1, 0);
    wire([RAIL.spine, at.u], [RAIL.u, at.u], [RAIL.u, at.scan], [BOX.left, at.scan]);
    arrow(BOX.left, at.scan, 1, 0);
    wire([RAIL.spine, at["B, C"]], [RAIL.bc, at["B, C"]], [RAIL.bc, at.scan], [BOX.right, at.scan]);
    arrow(BOX.right, at.scan, -1, 0);
    const rail = (x, height, name) => labels.append(text(x, height, { class: "rail" }, name));
    rail(RAIL.z - 10, at.in_proj - 5, "z");
    rail(RAIL.u + 6, at.u - 5, "u");
    rail(RAIL.spine + 40, at["B, C"] - 4, "B, C");
    byId("path-figure").replaceChildren(drawing(total, y + 4, { role: "img", class: "path",
        "aria-label": `Block diagram of the datapath of ${string(run.name)} with the number format of every edge; the table below has the same.` },
        under, wires, boxes, labels));
}

function drawPathTable(doc) {
    const first = formatsOf(doc.runs[0]);
    byId("path-table").append(table(`Number format of every edge; marked where it is not that of ${string(doc.runs[0].name)}`,
        ["edge", ...doc.runs.map((run) => string(run.name))],
        edgesOf(doc).map((edge) => [edge, ...doc.runs.map((run) => {
            const format = formatsOf(run).get(edge), changed = format !== undefined && first.has(edge) && first.get(edge) !== format;
            return { text: string(format), class: changed ? "code changed" : "code" };
        })]).concat([["knobs", ...doc.runs.map((run) => ({ text: string(run.knobs).replaceAll(",", ", "), class: "code" }))]]),
        doc.runs.map((_, i) => i + 1)));
}

/* ---- the selected cell: its numbers and its distribution ---- */

/* Logarithmic counts, so that the tails are seen; the clip range as two lines, what is beyond it
 * shaded; one code's width at the right scale.  other: the first run's, as an outline. */
function histogram(h, other, record, firstName, width) {
    const left = 44, right = width - 10, top = 26, bottom = 190, counts = list(h.counts).map((n) => (isNumber(n) ? n : 0));
    const span = h.high - h.low, bin = span / Math.max(1, counts.length);
    /* The first run has bins of its own width; its counts are made comparable. */
    const otherBin = hasBins(other) ? (other.high - other.low) / other.counts.length : 0;
    const outline = otherBin > 0 ? other.counts.map((n) => (isNumber(n) ? (n * bin) / otherBin : 0)) : [];
    const tallest = Math.max(9, ...counts, ...outline), decades = Math.ceil(Math.log10(tallest));
    const y = (n) => bottom - (Math.log10(n + 1) / Math.log10(10 ** decades + 1)) * (bottom - top);
    /* The axis takes in the clip range, unless the values fill only a sliver of it. */
    const clips = [h.clip_low, h.clip_high].filter(isNumber);
    let low = h.low, high = h.high;
    for (const clip of clips) if (clip > low - 1.5 * span && clip < high + 1.5 * span) {
        low = Math.min(low, clip - 0.03 * span);
        high = Math.max(high, clip + 0.03 * span);
    }
    const x = (value) => left + ((value - low) / (high - low)) * (right - left);
    const picture = drawing(width, bottom + 44, { role: "img", class: "histogram", "aria-label":
        `Distribution from ${number(h.low)} to ${number(h.high)}, ${counts.length} bins, clip range ${number(h.clip_low)} to ${number(h.clip_high)}` });
    for (let d = 1; d <= decades; d++)
        picture.append(line(left, y(10 ** d), right, y(10 ** d), { class: "grid" }),
            text(left - 6, y(10 ** d) + 4, { class: "tick", "text-anchor": "end" }, d < 4 ? String(10 ** d) : `1e${d}`));
    picture.append(text(left - 6, bottom + 4, { class: "tick", "text-anchor": "end" }, "0"));
    for (const mark of ticks(low, high, Math.max(2, Math.floor((right - left) / 90))))
        picture.append(text(x(mark.value), bottom + 16, { class: "tick", "text-anchor": "middle" }, mark.text));
    const beyond = (from, to) => to > from && picture.append(svg("rect", { x: from, y: top, width: to - from, height: bottom - top, class: "beyond" }));
    if (isNumber(h.clip_low)) beyond(left, Math.min(right, x(h.clip_low)));
    if (isNumber(h.clip_high)) beyond(Math.max(left, x(h.clip_high)), right);
    counts.forEach((n, i) => n > 0 && picture.append(svg("rect", { x: x(h.low + i * bin), y: y(n),
        width: Math.max(0.5, x(h.low + (i + 1) * bin) - x(h.low + i * bin) - 0.5), height: bottom - y(n), class: "bar" })));
    if (outline.length) {
        const inside = (value) => Math.min(right, Math.max(left, x(value)));
        let d = `M${inside(other.low)} ${bottom}`;
        outline.forEach((n, i) => { d += `V${y(n)}H${inside(other.low + (i + 1) * otherBin)}`; });
        picture.append(svg("path", { d: d + `V${bottom}`, class: "outline" }));
    }
    picture.append(line(left, bottom, right, bottom, { class: "axis" }));
    for (const [name, clip, anchor] of [["clip", h.clip_low, "start"], ["clip", h.clip_high, "end"]]) {
        if (!isNumber(clip) || clip < low || clip > high) continue;
        picture.append(line(x(clip), top - 8, x(clip), bottom, { class: "clip" }),
            text(x(clip) + (anchor === "start" ? 4 : -4), top - 2, { class: "tick clip", "text-anchor": anchor }, `${name} ${number(clip, 3)}`));
    }
    const words = [];
    if (isNumber(record.scale)) {
        const one = x(low + record.scale) - left, zero = Math.min(right - one, Math.max(left, x(0)));
        picture.append(svg("path", { class: "scale", d: `M${zero} ${bottom + 22}v6h${Math.max(one, 0.5)}v-6` }));
        words.push(`scale ${number(record.scale)} (one code, the bracket)`);
    } else words.push("not codes: no scale");
    if (clips.length && !clips.some((clip) => clip >= low && clip <= high)) words.push("clip range far outside");
    if (outline.length) words.push(`outline: ${shorten(firstName, 24)}`);
    picture.append(text(left, bottom + 41, { class: "tick" }, words.join("; ")));
    return html("figure", { class: "small" }, html("figcaption", {}, "distribution; counts are logarithmic"), picture);
}

const hasBins = (h) => Boolean(h) && list(h.counts).length > 0 && isNumber(h.low) && isNumber(h.high) && h.high > h.low;

function drawCell(doc, state, index, histograms, width) {
    const place = byId("cell"), record = index.get(key(state.run, state.layer, state.edge)) || {};
    const h = histograms.get(key(state.run, state.layer, state.edge)), other = histograms.get(key(0, state.layer, state.edge));
    if (state.edge === null) {
        place.replaceChildren(html("p", { class: "lead" }, "The document has no edges."));
        return;
    }
    const run = string(doc.runs[state.run].name), first = string(doc.runs[0].name);
    const narrow = width < 760, plot = narrow ? width : Math.floor(width * 0.56);
    const fact = (name, value) => html("div", {}, html("dt", {}, name), html("dd", {}, value));
    place.replaceChildren(
        html("h3", {}, `${state.edge}, ${layerName(doc, state.layer)}, run ${run}`),
        html("div", { class: "pair" },
            hasBins(h)
                ? histogram(h, state.run === 0 ? null : other, record, first, plot)
                : html("p", { class: "lead empty" }, "The document has no distribution of this edge."),
            html("dl", { class: "numbers" },
                fact("values", count(record.n) + (record.kind ? `, ${record.kind}` : "")),
                fact("SQNR", record.max_error === 0 ? "equal bit for bit" : withUnit(record.sqnr_db, "dB")),
                fact("RMS error", number(record.rms_error)),
                fact("largest error", number(record.max_error)),
                fact(`RMS of ${first}`, number(record.rms_first)),
                fact("cosine", isNumber(record.cosine) ? number(record.cosine, 8) : DASH),
                fact("code flips", isNumber(record.code_flips) ? `${count(record.code_flips)} (${percent(record.code_flip_share)}), worst by ${number(record.worst_flip)}` : DASH),
                fact("saturated", isNumber(record.saturated) ? `${count(record.saturated)} (${percent(record.saturated_share)})` : DASH),
                fact("largest magnitude", number(record.largest)),
                fact("scale", number(record.scale, 6)),
                fact("range used", percent(record.range_share)))));
}

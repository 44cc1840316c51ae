/* ---- scores: per task dots with intervals, and the same numbers as a table ---- */

const NORMAL_95 = 1.959964;

function drawScores(doc, state, width) {
    const place = byId("scores-body"), name = (r) => string((doc.runs[r] || {}).name);
    place.replaceChildren();
    const interval = (value, e) => ({
        value, low: isNumber(value) && isNumber(e) ? value - NORMAL_95 * e : null,
        high: isNumber(value) && isNumber(e) ? value + NORMAL_95 * e : null,
    });
    const share = (value, e) => {
        const all = interval(value, e);
        return { value, low: all.low === null ? null : Math.max(0, all.low), high: all.high === null ? null : Math.min(1, all.high) };
    };
    /* One plot; nothing where no run has the number. */
    const plot = (title, rows, of, reference, form) => {
        const all = rows.map((row) => ({ name: name(row.run), chosen: row.run === state.run, ...of(row) }));
        return all.some((row) => isNumber(row.value)) ? { title, all, reference, form } : null;
    };
    const show = (title, plots, numbers) => {
        const found = plots.filter(Boolean), each = plotWidth(width, found.length);
        place.append(html("h3", {}, title), html("div", { class: "plots" },
            ...found.map((p) => dotPlot(p.title, p.all, p.reference, each, p.form))), numbers);
    };
    for (const task of list(doc.tasks)) {
        const rows = list(task.runs), first = rows.find((row) => row.run === 0) || {};
        show(`${string(task.task)}, ${count(task.n)} items`, [
            plot("accuracy", rows, (r) => share(r.acc, r.acc_stderr), first.acc, percent),
            plot("accuracy, normalized by length", rows, (r) => share(r.acc_norm, r.acc_norm_stderr), first.acc_norm, percent),
            plot("perplexity", rows, (r) => interval(r.perplexity, r.perplexity_stderr), first.perplexity, number),
            plot(`log-likelihood per item, minus ${name(0)}`, rows.filter((r) => r.against_first), (r) => {
                const d = r.against_first;
                return { value: d.mean_difference, low: d.low, high: d.high, open: !(d.low > 0 || d.high < 0) };
            }, 0, signed),
        ], taskTable(task, rows));
    }
    const positions = doc.positions;
    if (positions && list(positions.runs).length)
        show(`Next-token distributions, ${count(positions.n)} positions`, [
            plot(`mean KL divergence from ${name(0)}, nats`, positions.runs, (r) => interval(r.kl_mean, r.kl_stderr), 0, number),
            plot(`same top token as ${name(0)}`, positions.runs, (r) => share(r.top1_agreement, r.top1_stderr), 1, percent),
        ], positionsTable(positions.runs));
    if (!place.childNodes.length) place.append(html("p", { class: "lead" }, "The document has no scores."));
    else place.append(html("p", { class: "hint" }, "Bars are 95 % intervals; the vertical line is the first run. The paired " +
        "difference is judged item by item: a hollow dot is a difference whose interval holds 0."));

    function mark(row) { return { text: name(row.run), class: row.run === state.run ? "chosen" : null }; }
    function taskTable(task, rows) {
        const norm = rows.some((r) => isNumber(r.acc_norm));
        return table(`${string(task.task)}: value ± standard error; differences against ${name(0)}`,
            ["run", "accuracy", ...(norm ? ["normalized"] : []), "perplexity", "won/lost", "McNemar p", "log-lik. difference", "95 % interval"],
            rows.map((r) => {
                const d = r.against_first || {};
                return [mark(r), plusMinus(r.acc, r.acc_stderr), ...(norm ? [plusMinus(r.acc_norm, r.acc_norm_stderr)] : []),
                    plusMinus(r.perplexity, r.perplexity_stderr),
                    isNumber(d.won) ? `${d.won}/${number(d.lost)}` : DASH, number(d.mcnemar_p, 2),
                    isNumber(d.mean_difference) ? `${signed(d.mean_difference)} ± ${number(d.stderr, 2)}` : DASH,
                    isNumber(d.low) ? `${signed(d.low)} … ${signed(d.high)}` : DASH];
            }));
    }
    function positionsTable(rows) {
        return table(`Next-token distributions against ${name(0)}`, ["run", "mean KL, nats", "largest KL", "same top token"],
            rows.map((r) => [mark(r), plusMinus(r.kl_mean, r.kl_stderr), number(r.kl_max),
                percent(r.top1_agreement, 4) + (isNumber(r.top1_stderr) ? ` ± ${percent(r.top1_stderr, 2)}` : "")]));
    }
}

/* Appended to a copy of a page of quamba compare and run in a browser: uses the page as a reader would and
 * writes what is wrong into the root's data-selftest, "passed" if nothing is. */
"use strict";
(async function () {
    const wrong = [], root = document.documentElement;
    const doc = JSON.parse(document.getElementById("document").textContent);
    const check = (good, what) => good || wrong.push(what);
    const equal = (got, want, what) => check(got === want, `${what}: ${got}, expected ${want}`);
    const all = (selector) => [...document.querySelectorAll(selector)];
    const pick = (id, value) => {
        const select = document.getElementById(id);
        select.value = value;
        select.dispatchEvent(new Event("change", { bubbles: true }));
    };
    try {
        let shifts = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => { shifts += entry.value; }))
            .observe({ type: "layout-shift", buffered: true });
        await new Promise((done) => setTimeout(done, 100));
        equal(root.dataset.drawn, "yes", "drawn");
        equal(shifts, 0, "layout shift while loading");
        equal(performance.getEntriesByType("resource").length, 0, "files loaded");
        equal(all("script").length, 4, "script elements, this one included");
        equal(window.hostile, undefined, "a name that ran as a script");
        equal(all("script[src], link, img, iframe, object, embed").length, 0, "elements that load something");

        /* what is there */
        const places = new Set(doc.edges.map((e) => `${e.edge}|${e.layer}`));
        equal(all("[role=gridcell]").length, places.size, "cells");
        equal(all("[role=gridcell][tabindex='0']").length, 1, "cells in the tab order");
        equal(all("#heat-table tbody tr").length, new Set(doc.edges.map((e) => e.edge)).size, "rows of the heat map's table");
        equal(all("#runs tbody tr").length, doc.runs.length, "rows of the table of runs");
        equal(all("#scores-body table").length, doc.tasks.length + (doc.positions ? 1 : 0), "tables of scores");
        const known = (rows, of) => rows.some((row) => Number.isFinite(of(row)));
        let plots = doc.positions ? 2 : 0;
        for (const task of doc.tasks)
            plots += known(task.runs, (r) => r.acc) + known(task.runs, (r) => r.acc_norm) + known(task.runs, (r) => r.perplexity) +
                known(task.runs, (r) => r.against_first && r.against_first.mean_difference);
        equal(all("#scores-body svg.plot").length, plots, "score plots");
        equal(all("#path-figure svg").length, 1, "block diagrams");
        for (const text of all("svg [role=img], svg[role=img]")) check(text.getAttribute("aria-label"), "a picture without a name");
        const names = doc.runs.map((run) => String(run.name));
        for (const name of names) check(document.querySelector("h1").textContent.includes(name), `the title lacks ${name}`);
        equal([...document.getElementById("run").options].map((o) => o.textContent.replace(/ \(first\)$/, "")).join(), names.join(), "runs to choose from");
        for (const what of [String(doc.quamba), String(doc.runs[0].weights).slice(0, 12)])
            check(document.querySelector("header").textContent.includes(what), `the header lacks ${what}`);
        check(!/\b(NaN|undefined|Infinity|\[object)/.test(document.body.innerText), "NaN, undefined, Infinity or [object] is shown");

        /* keys and clicks in the heat map */
        const chosen = () => document.querySelector("[role=gridcell][aria-selected=true]");
        const press = (key) => chosen().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
        const at = (edge, layer) => {
            equal(`${chosen().dataset.edge}|${chosen().dataset.layer}`, `${edge}|${layer}`, "selection");
            check(document.activeElement === chosen(), "the selected cell has the focus");
            check(document.querySelector("#cell h3").textContent.includes(edge), "the numbers are of the selected cell");
        };
        const edges = [...new Set(doc.edges.map((e) => e.edge))], ordered = doc.edge_names.filter((e) => edges.includes(e));
        const middle = ordered.findIndex((e, i) => i > 0 && places.has(`${e}|1`) && places.has(`${ordered[i - 1]}|1`) && places.has(`${ordered[i + 1]}|1`));
        const last = (edge) => Math.max(...doc.edges.filter((e) => e.edge === edge).map((e) => e.layer));
        document.querySelector(`[role=gridcell][data-edge="${ordered[middle]}"][data-layer="1"]`).dispatchEvent(new MouseEvent("click", { bubbles: true }));
        at(ordered[middle], 1);
        press("ArrowLeft"); at(ordered[middle], 0);
        press("ArrowLeft"); at(ordered[middle], 0);
        press("ArrowRight"); at(ordered[middle], 1);
        press("ArrowDown"); at(ordered[middle + 1], 1);
        press("ArrowUp"); at(ordered[middle], 1);
        press("End"); at(ordered[middle], last(ordered[middle]));
        press("Home"); at(ordered[middle], 0);
        check(all("#cell svg.histogram .bar").length > 0 === doc.histograms.some((h) => h.run === Number(document.getElementById("run").value) &&
            h.edge === ordered[middle] && h.layer === 0), "a distribution where the document has one");
        check(new URLSearchParams(location.hash.slice(1)).get("edge") === ordered[middle], "the address names the selection");

        /* every run and every measure can be drawn; differing formats are marked */
        for (const option of [...document.getElementById("run").options]) {
            pick("run", option.value);
            const format = (run) => new Map((run.formats || []).map((row) => [row.edge, row.format]));
            const mine = format(doc.runs[option.value]), first = format(doc.runs[0]);
            const differ = [...mine].filter(([edge, text]) => first.has(edge) && first.get(edge) !== text).length;
            equal(all("#path-figure .changed").length, differ, `marked formats of ${option.textContent}`);
            for (const measure of [...document.getElementById("measure").options]) {
                pick("measure", measure.value);
                equal(all("[role=gridcell]").length, places.size, `cells of ${option.textContent}, ${measure.value}`);
            }
        }

        /* theme, and a narrow page */
        const colour = () => getComputedStyle(document.body).backgroundColor, before = colour(), theme = root.dataset.theme;
        document.getElementById("theme").click();
        check(root.dataset.theme !== theme && colour() !== before, "the theme changes");
        document.getElementById("theme").click();
        equal(colour(), before, "background after two changes of theme");
        for (const width of [400, 700]) {
            check(root.scrollWidth <= root.clientWidth, "the page scrolls sideways");
            document.body.style.maxWidth = `${width}px`;
            window.dispatchEvent(new Event("resize"));
            for (const frame of all(".scroll[role=region]").filter((e) => !e.closest("details:not([open])")))
                equal(frame.tabIndex, frame.scrollWidth > frame.clientWidth ? 0 : -1, `stop of Tab at ${frame.getAttribute("aria-label")}`);
            const out = all("body *").filter((e) => !e.closest(".scroll") && e.getBoundingClientRect().width > 0 &&
                e.getBoundingClientRect().right > document.body.getBoundingClientRect().right + 1);
            equal(out.map((e) => `${e.tagName}.${e.getAttribute("class")}`).slice(0, 3).join(), "", `what leaves a page of ${width} pixels`);
        }
    } catch (error) {
        wrong.push(String(error && error.stack));
    }
    if (root.dataset.error) wrong.push(root.dataset.error);
    root.dataset.selftest = wrong.length ? wrong.join("\n") : "passed";
})();

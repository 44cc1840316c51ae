/* ---- state, and drawing it ---- */

(function () {
    const doc = JSON.parse(byId("document").textContent);
    doc.runs = list(doc.runs);
    if (!doc.runs.length) throw new Error("the document has no runs");
    const index = new Map(list(doc.edges).map((record) => [key(record.run, record.layer, record.edge), record]));
    const histograms = new Map(list(doc.histograms).map((h) => [key(h.run, h.layer, h.edge), h]));
    const grid = heatCells(doc);
    const state = { run: doc.runs.length > 1 ? 1 : 0, measure: MEASURES[0].id, edge: null, layer: null };

    /* #run=2&measure=rms&edge=conv_out&layer=3: what a link into the page can say. */
    function readHash() {
        const asked = new URLSearchParams(location.hash.slice(1));
        const run = Number(asked.get("run") || NaN), layer = Number(asked.get("layer") || NaN);
        if (doc.runs[run]) state.run = run;
        if (MEASURES.some((m) => m.id === asked.get("measure"))) state.measure = asked.get("measure");
        const cells = grid.cells.get(asked.get("edge"));
        if (cells && cells.has(layer)) Object.assign(state, { edge: asked.get("edge"), layer });
    }
    function writeHash() {
        const said = new URLSearchParams({ run: state.run, measure: state.measure });
        if (state.edge !== null) { said.set("edge", state.edge); said.set("layer", state.layer); }
        const theme = /[#&]theme=(light|dark)\b/.exec(location.hash);
        if (theme) said.set("theme", theme[1]);
        try { history.replaceState(null, "", "#" + said); } catch (refused) { /* some viewers allow no links */ }
    }

    function draw() {
        const width = byId("scores").clientWidth, had = document.activeElement && document.activeElement.getAttribute("role") === "gridcell";
        byId("against").textContent = state.run === 0 ? "the first run" : `against ${string(doc.runs[0].name)}`;
        drawScores(doc, state, width);
        drawPath(doc, state, width);
        drawEdges(width);
        if (had) focusCell();
        writeHash();
    }
    function drawEdges(width) {
        if (grid.names.length) {
            drawHeat(doc, state, index, grid, width, choose);
            drawHeatTable(doc, state, index, grid);
        }
        drawCell(doc, state, index, histograms, width);
        reachScrolling();
    }
    function focusCell() {
        const cell = document.querySelector('[role="gridcell"][tabindex="0"]');
        if (cell) cell.focus({ preventScroll: false });
    }
    function choose(edge, layer, focus) {
        Object.assign(state, { edge, layer });
        drawEdges(byId("scores").clientWidth);
        if (focus) focusCell();
        writeHash();
    }

    readHash();
    if (state.edge === null && grid.names.length) {
        const bad = worst(doc, state, index, grid);
        state.edge = bad ? bad.name : grid.names[0];
        state.layer = bad ? bad.layer : [...grid.cells.get(state.edge)][0];
    }
    byId("run").append(...doc.runs.map((run, i) => html("option", { value: i }, `${string(run.name)}${i === 0 ? " (first)" : ""}`)));
    byId("run").value = state.run;
    byId("run").addEventListener("change", (event) => { state.run = Number(event.target.value); draw(); });
    byId("measure").append(...MEASURES.map((m) => html("option", { value: m.id }, m.name)));
    byId("measure").value = state.measure;
    byId("measure").addEventListener("change", (event) => { state.measure = event.target.value; drawEdges(byId("scores").clientWidth); writeHash(); });
    const nameTheme = () => { byId("theme").textContent = document.documentElement.dataset.theme === "dark" ? "Light" : "Dark"; };
    byId("theme").addEventListener("click", () => { window.applyTheme(true); nameTheme(); });
    nameTheme();
    document.addEventListener("toggle", reachScrolling, true); /* a table that was folded */
    drawHeader(doc);
    drawPathTable(doc);
    drawParting(doc);
    draw();
    let drawn = byId("scores").clientWidth;
    window.addEventListener("resize", () => {
        const width = byId("scores").clientWidth;
        if (width !== drawn) { drawn = width; draw(); }
    });
    delete document.documentElement.dataset.drawing;
    document.documentElement.dataset.drawn = "yes";
})();

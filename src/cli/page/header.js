/* ---- what was compared ---- */

function drawHeader(doc) {
    const names = doc.runs.map((run) => string(run.name)), models = new Set(doc.runs.map((run) => string(run.model)));
    const items = doc.items || {}, title = `${names.join(" · ")}`;
    document.title = `quamba compare: ${names.join(", ")}`;
    byId("program").textContent = `quamba ${string(doc.quamba)} · compare`;
    byId("title").textContent = title;
    const fact = (name, ...value) => [html("dt", {}, name), html("dd", {}, ...value)];
    const command = Array.isArray(doc.command) ? doc.command.join(" ") : doc.command;
    byId("facts").append(
        ...fact(models.size > 1 ? "models" : "model", [...models].join(", ")),
        ...fact("items", `${string(items.source)}, ${count(items.n_items)} items; distributions and edges from ${count(items.n_tokens)} tokens`),
        ...fact("first", `${names[0]}; every difference on this page is against it`),
        ...fact("again", html("code", { class: "command" }, string(command))));
    byId("runs").append(table("Runs", ["run", "mode", "what it is", "model", "weights"],
        doc.runs.map((run) => [string(run.name), string(run.mode), { text: string(run.summary), class: "long" }, string(run.model),
            { text: shorten(string(run.weights), 17), class: "code", title: string(run.weights) }]), [1, 2, 3, 4]));
    byId("footer").textContent = "This file is complete in itself: it loads nothing, and holds the JSON document of the " +
        "comparison, all digits, in its last lines.";
}

/* ---- elements: text goes in as text, never as markup ---- */

const SVG = document.getElementById("svg").namespaceURI;
const byId = (id) => document.getElementById(id);

function build(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {}))
        if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
}
const html = (name, attributes, ...children) =>
    build(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
    build(document.createElementNS(SVG, name), attributes, children);

/* A drawing of that many pixels, which shrinks with the page and on paper. */
function drawing(width, height, attributes, ...children) {
    return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, ...attributes }, ...children);
}
const text = (x, y, attributes, string) => svg("text", { x, y, ...attributes }, string);
const line = (x1, y1, x2, y2, attributes) => svg("line", { x1, y1, x2, y2, ...attributes });

/* A frame that scrolls is reached by Tab, so that keys can scroll it; others are no stop on the way. */
function reachScrolling() {
    for (const frame of document.querySelectorAll(".scroll[role=region]"))
        frame.tabIndex = frame.scrollWidth > frame.clientWidth ? 0 : -1;
}

/* A table in a frame of its own that scrolls where it is too wide.  heads: texts; rows: of texts or
 * {text, class, title}; the first column heads its row, the other columns are numbers unless plain
 * holds their index. */
function table(caption, heads, rows, plain = []) {
    const kind = (column) => (column > 0 && !plain.includes(column) ? "n" : null);
    const cell = (value, column) => {
        const { text: string, class: also, title } =
            value !== null && typeof value === "object" ? value : { text: value };
        const attributes = { class: [kind(column), also].filter(Boolean).join(" ") || null, title };
        return column === 0 ? html("th", { ...attributes, scope: "row" }, string)
                            : html("td", attributes, string);
    };
    return html("div", { class: "scroll", role: "region", tabindex: -1, "aria-label": caption },
        html("table", {},
            html("caption", {}, caption),
            html("thead", {}, html("tr", {},
                ...heads.map((head, i) => html("th", { scope: "col", class: kind(i) }, head)))),
            html("tbody", {}, ...rows.map((row) => html("tr", {}, ...row.map(cell))))));
}

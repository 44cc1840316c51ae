/* Before anything is shown: the theme, and where errors go.  Printing is always light (compare.css).
 * Nothing is painted while the page is drawn (data-drawing), so that nothing moves. */
(function () {
    "use strict";
    const root = document.documentElement;
    root.dataset.drawing = "yes";
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const asked = /[#&]theme=(light|dark)\b/.exec(location.hash);
    let chosen = asked && asked[1];
    window.applyTheme = function (toggle) {
        if (toggle) chosen = root.dataset.theme === "dark" ? "light" : "dark";
        root.dataset.theme = chosen || (dark.matches ? "dark" : "light");
    };
    window.applyTheme(false);
    dark.addEventListener("change", () => window.applyTheme(false));
    window.addEventListener("error", (event) => {
        root.dataset.error = event.message;
        delete root.dataset.drawing;
        const place = document.getElementById("error");
        if (!place) return;
        place.textContent = "This page could not be drawn: " + event.message;
        place.hidden = false;
    });
})();

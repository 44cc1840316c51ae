/* ---- numbers as text; what is missing or not defined is a dash ---- */

const DASH = "–";
const isNumber = (x) => typeof x === "number" && Number.isFinite(x);
const list = (x) => (Array.isArray(x) ? x : []);
const string = (x) => (x === null || x === undefined || x === "" ? DASH : String(x));

function number(x, digits = 4) {
    if (!isNumber(x)) return DASH;
    const size = Math.abs(x);
    if (Number.isInteger(x) && size < 1e15) return String(x);
    if (size >= 1e7 || size < 1e-3) return x.toExponential(digits - 1).replace("e+", "e");
    return size >= 10 ** digits ? x.toFixed(0) : x.toPrecision(digits);
}
const percent = (x, digits = 3) => (isNumber(x) ? `${number(100 * x, digits)} %` : DASH);
const withUnit = (x, unit) => (isNumber(x) ? `${number(x)} ${unit}` : DASH);
const signed = (x, digits = 4) => (isNumber(x) && x > 0 ? "+" : "") + number(x, digits);
/* 1283072 as 1 283 072, with thin spaces */
const count = (x) => (isNumber(x) ? String(x).replace(/\B(?=(\d{3})+$)/g, "\u2009") : DASH);
const plusMinus = (x, e, digits = 4) =>
    number(x, digits) + (isNumber(x) && isNumber(e) ? ` ± ${number(e, 2)}` : "");

/* About n round numbers from low to high. */
function ticks(low, high, n) {
    const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
    const first = Math.ceil(low / step - 1e-9), found = [];
    for (let i = first; i * step <= high + step * 1e-9; i++) found.push(i * step);
    const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return found.map((value) => ({ value, text: size(value, places) }));
    function size(value, digits) {
        const plain = value.toFixed(Math.min(digits, 20));
        return plain.length > 8 ? number(value, 2) : plain;
    }
}

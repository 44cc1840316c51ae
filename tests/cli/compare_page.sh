#!/bin/bash
# The HTML page of quamba compare: complete in itself, and used in a headless Chromium as a reader would.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
demo=$QUAMBA_SOURCE_DIR/models/demo
cd "$dir" || exit 1
mkdir data
head -n 6 "$QUAMBA_SOURCE_DIR/data/cloze.jsonl" >data/cloze.jsonl
made_up_scales >scales.json
"$QUAMBA" quantize --quiet --act-scales scales.json -o w8a8 "$demo" >log 2>&1 || { cat log; fail quantize; finish; }
hostile="a<"/"script><script>window.hostile=1<"/"script> \"'&\$é" # a path with markup in it
mkdir -p "$hostile" && cp -r w8a8 "$hostile/q" || exit 1

compare() { "$QUAMBA" compare --quiet --tasks cloze --edge-tokens 64 --reference "$demo" "$@"; }
compare --modes 0,2-0,2-4,B:3,fp32 --model "B:$hostile/q" --first-divergence --html page.html w8a8 >tables 2>log ||
    { cat log; fail "compare --html"; finish; }

# ---- the file -----------------------------------------------------------------------------------
grep -nE 'http:|https:|src=|url\(|@import|@include|@DOCUMENT' page.html | cut -c1-200 >found
[ ! -s found ] || { cat found; fail "the page names another file"; }
[ "$(grep -c '</script>' page.html)" = 3 ] || fail "an element of the page ends early"
typed=$(sed -n 's/.*"command":"\(.*\)"}<\/script>.*/\1/p' page.html | sed 's/\\u003c/</g; s/\\"/"/g; s/\\\\/\\/g')
eval "set -- $typed" && [ "$2" = compare ] && [ "${*: -1}" = w8a8 ] && case " $* " in *" B:$hostile/q "*) ;; *) false ;; esac ||
    fail "the command cannot be typed again: $typed"
ends 1 'none/page.html' compare --modes 0,2-0 --html none/page.html w8a8
[ -z "$(find . -name '*.tmp*' -o -name '.page*')" ] || fail "something half written is left"

# ---- in a browser -------------------------------------------------------------------------------
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    [ "$failures" = 0 ] || finish
    echo "SKIPPED: the page of quamba compare is not opened: no chromium (tools/setup.sh --browser installs it)"
    exit 77
}
browse() { # browse ARGUMENTS: a browser without a window, whose own messages are noise
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
        --user-data-dir="$dir/profile" --window-size=1200,900 --virtual-time-budget=1000 "$@" 2>noise
}
browse --dump-dom 'data:text/html,<p>it works' | grep -q 'it works' || {
    [ "$failures" = 0 ] || finish
    echo "SKIPPED: the page of quamba compare is not opened: $browser does not run here: $(tail -n 1 noise)"
    exit 77
}
with_selftest() { # with_selftest PAGE: the page with the test in it
    grep -v '^</body>$\|^</html>$' "$1"
    printf '<script>\n%s\n</script>\n</body>\n</html>\n' "$(<"$QUAMBA_SOURCE_DIR/tests/cli/compare_page_selftest.js")"
}
state() { # state NAME: what a page, dumped, says in the root's data-NAME
    tr '\n' ' ' <dump | sed -n 's/.*<html[^>]* data-'"$1"'="\([^"]*\)".*/\1/p'
}
selftest() { # selftest NAME PAGE ARGUMENTS: the page passes it
    with_selftest "$2" >tested.html
    browse "${@:3}" --dump-dom "file://$dir/tested.html" >dump
    [ "$(state selftest)" = passed ] || fail "$1: $(state selftest) $(state error) ($(head -c 300 noise))"
}
selftest "the page" page.html
[ "$(state theme)" = light ] || fail "the theme is $(state theme), not light"
selftest "the page in the dark" page.html --force-dark-mode
[ "$(state theme)" = dark ] || fail "the theme is $(state theme), not dark"

cat >rename.sed <<'TEXT'
s|"name":"2-4"|"name":"\\u003c/script>\\u003cscript>window.hostile=1\\u003c/script>\\"'\&é量"|
TEXT
sed -f rename.sed page.html >renamed.html
cmp -s page.html renamed.html && fail "no run has another name"
selftest "a name with markup" renamed.html

for fault in 's/"keydown"/"keyup"/' 's/data-theme="dark"/data-theme="night"/'; do
    sed "$fault" page.html >broken.html
    with_selftest broken.html >tested.html
    browse --dump-dom "file://$dir/tested.html" >dump
    [ "$(state selftest)" != passed ] || fail "the test does not see $fault"
done

# ---- what it looks like --------------------------------------------------------------------------
for theme in light dark; do
    browse --screenshot="$dir/$theme.png" "file://$dir/page.html#run=2&theme=$theme" >/dev/null
    [ "$(wc -c <$theme.png)" -gt 20000 ] || fail "no picture of the $theme page"
done
cmp -s light.png dark.png && fail "light and dark look the same"
finish

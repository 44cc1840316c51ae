#!/bin/bash
# quamba tokenize: tables, JSON, exact bytes, lines of a file, bad input.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
model=$QUAMBA_SOURCE_DIR/models/demo
lines=$QUAMBA_SOURCE_DIR/tests/golden/tokens_demo.jsonl

# equal NAME WANT COMMAND...: what stdout carries.
equal() {
    local name=$1 want=$2 got
    shift 2
    got=$("$@" 2> "$dir/err")
    [ "$got" = "$want" ] || fail "$name: got [$got], expected [$want]; $(cat "$dir/err")"
}

# refuse STATUS PATTERN COMMAND...: status, one line "quamba: ..." on stderr that matches.
refuse() {
    local want=$1 pattern=$2 got
    shift 2
    "$@" > "$dir/out" 2> "$dir/err" < /dev/null
    got=$?
    [ "$got" = "$want" ] || fail "$*: status $got, expected $want"
    grep -Eq "^quamba: .*$pattern" "$dir/err" || fail "$*: $(cat "$dir/err") does not match $pattern"
}

equal "ids" "1466 337 1788 259 597" "$QUAMBA" tokenize --quiet "$model" Once upon a time
equal "a file instead of its directory" "1466 337" "$QUAMBA" tokenize --quiet "$model/tokenizer.json" Once
equal "special tokens in text" "0" "$QUAMBA" tokenize --quiet "$model" "<|endoftext|>"
equal "no text" "" "$QUAMBA" tokenize --quiet "$model" ""
equal "decode" "Once upon a time" "$QUAMBA" tokenize --decode "$model" 1466 337 1788,259 597
"$QUAMBA" tokenize "$model" "Once upon" > "$dir/out" || fail "table"
grep -Eq '^ *337 +"ce" +63 65$' "$dir/out" || fail "table: $(cat "$dir/out")"
"$QUAMBA" tokenize --json "$model" "Once" > "$dir/out" || fail "--json"
tr -d ' \n' < "$dir/out" | grep -q '"ids":\[1466,337\],"tokens":\[{"id":1466,"piece":"On","bytes":"4F6E"}' ||
    fail "--json: $(cat "$dir/out")"

# Any bytes survive the way there and back: all 256, and a piece of a program.
{ for i in $(seq 0 255); do printf "\\x$(printf %x "$i")"; done
  head -c 20000 "$QUAMBA"; } > "$dir/bytes"
"$QUAMBA" tokenize --quiet "$model" < "$dir/bytes" | "$QUAMBA" tokenize --decode "$model" > "$dir/back"
cmp "$dir/bytes" "$dir/back" || fail "bytes do not survive"

# Lines come out as the reference has them (its spelling of JSON differs: compare after our own).
"$QUAMBA" tokenize --jsonl "$lines" "$model" > "$dir/once" || fail "--jsonl"
sed 's/, "ids": /,"ids":/; s/, "decoded": /,"decoded":/; s/^{"text": /{"text":/' "$lines" |
    grep -o '"ids":\[[0-9, ]*\]' | tr -d ' ' > "$dir/want"
grep -o '"ids":\[[0-9,]*\]' "$dir/once" > "$dir/got"
cmp "$dir/want" "$dir/got" || fail "--jsonl: ids differ from the reference"
"$QUAMBA" tokenize --jsonl - "$model" < "$dir/once" > "$dir/twice" || fail "--jsonl -"
cmp "$dir/once" "$dir/twice" || fail "--jsonl does not read what it writes"
equal "lines with ids only" '{"ids":[1466,337],"decoded":"Once"}' \
    "$QUAMBA" tokenize --jsonl <(echo '{"ids": [1466, 337]}') "$model"

printf '{"text": "good"}\n\n{"text": 3}\n{"text": "never read"}\n' > "$dir/broken.jsonl"
refuse 1 'broken.jsonl: line 3: "text"' "$QUAMBA" tokenize --jsonl "$dir/broken.jsonl" "$model"
[ "$(wc -l < "$dir/out")" = 1 ] || fail "lines before the broken one are printed, none after"
printf '{"text": "a\n' > "$dir/broken.jsonl"
refuse 1 'broken.jsonl: line 1: not valid JSON' "$QUAMBA" tokenize --jsonl "$dir/broken.jsonl" "$model"
printf '{"ids": [99999]}' > "$dir/broken.jsonl"
refuse 1 'line 1: id 99999' "$QUAMBA" tokenize --jsonl "$dir/broken.jsonl" "$model"
refuse 1 'cannot open' "$QUAMBA" tokenize --jsonl "$dir/absent" "$model"
refuse 2 '99999' "$QUAMBA" tokenize --decode "$model" 99999
refuse 2 '"1x" is no token id' "$QUAMBA" tokenize --decode "$model" 5 1x
refuse 2 'no token id' "$QUAMBA" tokenize --decode "$model" 99999999999999999999
refuse 2 'jsonl' "$QUAMBA" tokenize --jsonl "$lines" "$model" text
refuse 1 'absent' "$QUAMBA" tokenize "$dir/absent" text
mkdir "$dir/empty"
refuse 1 'tokenizer.json' "$QUAMBA" tokenize "$dir/empty" text
head -c 5000 "$model/tokenizer.json" > "$dir/tokenizer.json"
refuse 1 'tokenizer.json: .*not valid JSON' "$QUAMBA" tokenize "$dir/tokenizer.json" text
echo '{"a": 1}' > "$dir/tokenizer.json"
refuse 1 'tokenizer.json: .*not a tokenizer.json' "$QUAMBA" tokenize "$dir/tokenizer.json" text
if [ -w /dev/full ]; then
    "$QUAMBA" tokenize --jsonl "$lines" "$model" > /dev/full 2> "$dir/err"
    [ $? = 1 ] || fail "a full disk goes unnoticed"
fi

finish

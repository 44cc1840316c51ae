#!/bin/sh
# usage: check_layers.sh [ROOT]
# Reads the #include lines under ROOT/src and ROOT/hw: a file may include its own room or a lower one, never
# sideways or up.  The rooms and their levels are the table below; op, the operators that hardware
# and scalar kernels share, lies between base and kernels.
set -eu
cd "${1:-$(dirname "$0")/..}"

files=$(find include src hw -type f \( -name '*.[ch]' -o -name '*.def' -o -name '*.cu' -o -name '*.inc' \))
# shellcheck disable=SC2086 # one word per file
awk '
BEGIN {
    n = split("base 0 op 0.5 format 1 tokenizer 1 kernels 1 lut 1 cuda 2 model 2 datapath 2 " \
              "count 3 runtime 3 quant 4 eval 4 verify 4 trace 4 cli 5 hls 1 dpi 1 sim 2", word, " ")
    for (i = 1; i < n; i += 2) level[word[i]] = word[i + 1]
}
function complain(why) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, $0, why
    bad++
}
FNR == 1 {
    split(FILENAME, part, "/")
    room = part[1] == "include" ? "the public API" : part[2]
    if (part[1] != "include" && !(room in level))
        complain(part[1] "/" room " is no room of the table")
}
/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
    path = $0
    sub(/^[^<"]*[<"]/, "", path)
    sub(/[>"].*$/, "", path)
    ours = $0 ~ /include[ \t]*"/
    if (path ~ /^quamba\//) next                    # the public header, everywhere
    to = path
    sub(/\/.*$/, "", to)
    if (!ours) {
        if (path ~ /\// && to in level) complain("our own headers are included with quotes")
        next
    }
    if (path !~ /\// || !(to in level)) complain("write the room: \"room/file.h\"")
    else if (part[1] == "include") complain("the public header includes nothing of src")
    else if (to != room && level[to] >= level[room])
        complain(room " [" level[room] "] may not use " to " [" level[to] "]")
}
END { exit bad > 0 }' $files

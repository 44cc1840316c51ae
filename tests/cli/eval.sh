#!/bin/bash
# quamba eval: tasks, records, resume after a kill, the log, bad files; against the reference's
# scores where ../shared is there.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
shared=$QUAMBA_SHARED_DIR
model=$QUAMBA_SOURCE_DIR/models/demo
cloze=$QUAMBA_SOURCE_DIR/data/cloze.jsonl
[ -d "$model" ] || model=$shared/models/demo
[ -d "$model" ] || { echo "SKIPPED: all of it needs models/demo"; exit 77; }
[ -f "$cloze" ] || { echo "SKIPPED: all of it needs data/cloze.jsonl"; exit 77; }
cd "$dir" || exit 1
mkdir data
head -n 40 "$cloze" >data/cloze.jsonl
expect() { ends "$1" "$2" "$QUAMBA" eval --threads 1 "${@:3}"; } # STATUS PATTERN OPTIONS...

# A result without what no two runs share: times, the directory of the logs and the options.
plain() { grep -vE '"(timestamp|log_dir|threads|cpu|resume|overwrite|json|seconds)"|logs_|: [0-9.]+e?-?[0-9]*$' "$1"; }
scores() { grep -E '"(acc|perplexity)' "$1"; }

# ---- a run, its table, its JSON, its log and its records ----
expect 0 '^cloze +perplexity +[0-9.]+ +[0-9.]+ +40 ' "$model"
expect 0 '"acc,none": 0\.[0-9]' --json --log-dir logs_full "$model"
cp out full.json
if command -v python3 >/dev/null; then
    python3 - out logs_full/*_fp16.json <<'EOF' || fail "the JSON is not as it should be"
import json, sys
for path in sys.argv[1:]:
    r = json.load(open(path))
    t = r["lm_eval"]["cloze"]
    assert 0 <= t["acc,none"] <= 1 and t["acc_stderr,none"] > 0
    assert t["perplexity,none"] > 1 and t["perplexity_stderr,none"] > 0
    assert r["n_samples"]["cloze"] == 40 and r["mode"] == "fp32" and r["mode_source"] == "default"
    assert len(r["weights_hash"]) == 16 and r["args"]["tasks"] is None
    lines = [json.loads(line) for line in open(r["per_sample_file"]["cloze"])]
    assert [line["doc_id"] for line in lines[1:]] == list(range(40))
    assert sum(line["correct"] for line in lines[1:]) / 40 == t["acc,none"]
EOF
else
    echo "SKIPPED: the check of the JSON's members needs python3"
fi
full=$(echo logs_full/*.jsonl)
[ "$(wc -l <"$full")" = 41 ] || fail "$full: not a header and 40 records"
expect 0 ' 40 ' --log-dir logs_full "$model" # a finished run is replaced, the log gets longer
[ "$(grep -c '^{' logs_full/*_fp16.json)" = 2 ] || fail "the log does not hold two objects"

# ---- threads, instruction sets, batches and forms of scoring: the same bits ----
for options in "--threads 2 --limit 12" "--cpu scalar --limit 1" "--scoring decode --limit 12"; do
    rm -rf logs_other
    # shellcheck disable=SC2086
    expect 0 . $options --log-dir logs_other "$model"
    lines=$(($(wc -l <logs_other/*.jsonl) - 1))
    cmp <(sed 1d "$full" | head -n "$lines") <(sed 1d logs_other/*.jsonl) || fail "records with $options differ"
done

# ---- what a checkpoint is called, and that its container does not matter ----
expect 0 . --limit 1 --json "$model/"
hash=$(grep weights_hash out)
if "$QUAMBA" convert --to safetensors -o converted "$model" >/dev/null 2>err; then
    [ -e converted/tokenizer.json ] || cp "$model/tokenizer.json" converted
    expect 0 . --limit 1 --json converted
    [ "$(grep weights_hash out)" = "$hash" ] || fail "a converted checkpoint has another hash"
    (cd converted && "$QUAMBA" eval --limit 1 --data-dir ../data --tasks cloze --log-dir logs . >/dev/null) ||
        fail "a model named ."
    [ -e converted/logs/converted_fp16.json ] || fail "the log of a model named . is $(ls converted/logs)"
else
    cat err
    echo "SKIPPED: the hash of a converted checkpoint needs quamba convert"
fi

# ---- killed, then resumed: nothing is lost, nothing differs ----
start_slow() { # until some records are there
    "$QUAMBA" eval --threads 1 --json --log-dir "$1" "$model" >out 2>err &
    slow=$!
    for ((i = 0; i < 6000; i++)); do
        [ "$(cat "$1"/*.jsonl 2>/dev/null | wc -l)" -ge 3 ] && return
        sleep 0.01
    done
    fail "no record was written"
}
start_slow logs_killed
kill -9 $slow
wait $slow 2>/dev/null
killed=$(echo logs_killed/*.jsonl)
echo "killed after $(($(wc -l <"$killed") - 1)) of 40 records"
[ "$(wc -l <"$killed")" -lt 41 ] || fail "the run was over before it could be killed"
printf '{"doc_id":9' >>"$killed" # as if the kill had come in the middle of a write
cp "$killed" before.jsonl
expect 2 'unfinished run; --resume goes on with it, --overwrite' --log-dir logs_killed "$model"
cmp "$killed" before.jsonl || fail "a refused run changed the records"
expect 0 'perplexity' --resume --json --log-dir logs_killed "$model"
cmp "$full" "$killed" || fail "the records after a resume differ"
cmp <(scores full.json) <(scores out) || fail "the scores after a resume differ"
cmp <(plain full.json) <(plain out) || fail "the result after a resume differs"
expect 0 '40 items were taken from' --resume --log-dir logs_killed "$model"

# ---- Ctrl-C ----
start_slow logs_int
kill -INT $slow
wait $slow
status=$?
[ $status = 130 ] || fail "Ctrl-C: status $status"
grep -q 'interrupted after [0-9]* of 40 items of cloze; .*--resume' err || { cat err; fail "Ctrl-C is not explained"; }
grep -q '"acc,none"' out || fail "Ctrl-C: what was scored is not shown"
cp -r logs_int logs_again
expect 0 . --resume --log-dir logs_int "$model"
cmp "$full" logs_int/*.jsonl || fail "the records after Ctrl-C and a resume differ"
expect 0 . --overwrite --log-dir logs_again "$model"
cmp "$full" logs_again/*.jsonl || fail "the records after --overwrite differ"

# ---- another file or other weights are no resume ----
sed '1s/"file_hash":"[0-9a-f]*"/"file_hash":"0000000000000000"/' before.jsonl >"$killed"
expect 2 'made with file_hash "0000000000000000"' --resume --log-dir logs_killed "$model"
echo "a file of the user" >"$killed"
expect 2 'is not a record file' --overwrite --log-dir logs_killed "$model"
expect 2 'needs the --log-dir' --resume "$model"
expect 2 'exclude each other' --resume --overwrite --log-dir logs_killed "$model"

# ---- every form of task, few-shot ----
cat >data/hellaswag.jsonl <<'EOF'
{"query": "Cooking: He", "endings": ["eats the soup.", "sings.", "is a tree.", "runs away."], "label": 0}
{"query": "Rowing: She", "endings": ["holds the oar.", "x", "is.", "flies over the wall."], "label": 1}
{"query": "Reading: They", "endings": ["open the book.", "x y", "is.", "fly over the wall."], "label": "0"}
EOF
cat >data/piqa.jsonl <<'EOF'
{"goal": "ice box", "sol1": "put it in the sun ", "sol2": " put it in the snow", "label": 1}
{"goal": "open a door", "sol1": "turn the key", "sol2": "turn the house", "label": 0}
{"goal": "make tea", "sol1": "boil the water", "sol2": "boil the spoon", "label": 0}
EOF
cat >data/arc_easy.jsonl <<'EOF'
{"query": "Question: What is wet?\nAnswer:", "choices": ["water", "stone", "sand"], "gold": 0}
{"query": "Question: What is hot?\nAnswer:", "choices": ["ice", "fire"], "gold": 1}
{"query": "Question: What is old?\nAnswer:", "choices": ["a child", "a calf", "a kitten", "a ruin", "a bud"], "gold": 3}
EOF
cp data/arc_easy.jsonl data/arc_challenge.jsonl
cp data/arc_easy.jsonl data/boolq.jsonl
cp data/cloze.jsonl data/lambada_openai.jsonl
cat >data/winogrande.jsonl <<'EOF'
{"sentence": "The dog bit the man so the _ cried.", "option1": "dog", "option2": "man", "answer": "2"}
{"sentence": "_ was late, so Ann waited for Tom.", "option1": "Ann", "option2": "Tom", "answer": "2"}
{"sentence": "The cup fell off the shelf and the _ broke.", "option1": "cup", "option2": "shelf", "answer": "1"}
EOF
cat "$QUAMBA_SOURCE_DIR"/LICENSE "$QUAMBA_SOURCE_DIR"/LICENSE >data/wikitext2.txt
echo 'A short text has fewer than two thousand tokens .' >data/ptb.txt
all=lambada_openai,cloze,hellaswag,piqa,arc_easy,arc_challenge,winogrande,boolq,wikitext2,ptb
expect 0 . --tasks $all --limit 1 --json --log-dir logs_all "$model"
for task in ${all//,/ }; do
    grep -q "\"$task\"" out || fail "$task is missing in the result"
done
[ "$(grep -c '"acc_norm,none"' out)" = 4 ] || fail "acc_norm is not that of hellaswag, piqa and the two ARCs"
grep -q 'ptb: the text has only [0-9]* tokens' err || fail "a short text is not announced"
rm -rf logs_other
expect 0 . --tasks ${all/wikitext2,/} --limit 1 --scoring decode --log-dir logs_other "$model"
for file in logs_all/*.limit1.jsonl; do
    [[ $file != *wikitext2* ]] || continue
    other=logs_other/$(basename "${file%.limit1.jsonl}").decode.limit1.jsonl
    cmp <(sed 1d "$file") <(sed 1d "$other") || fail "decode differs from prefill in $(basename "$file")"
done
few=piqa,arc_easy,winogrande,hellaswag
expect 0 . --tasks $few --fewshot 2 --json "$model"
scores out >few1
expect 0 . --tasks $few --fewshot 2 --json --threads 1 "$model"
cmp few1 <(scores out) || fail "few-shot is not reproducible"
expect 0 . --tasks lambada_openai --fewshot 2 --seed 5 --limit 4 --json "$model"
scores out >few1
expect 0 . --tasks lambada_openai --fewshot 2 --seed 6 --limit 4 --json "$model"
cmp -s few1 <(scores out) && fail "--seed does not change the examples"
expect 2 'too few for 3 examples' --tasks piqa --fewshot 3 "$model"

# ---- texts ----
expect 0 'wikitext2 +perplexity +[0-9.]+ +[0-9.]+ +2 ' --tasks wikitext2 --limit 2 "$model"
head -n 20 data/wikitext2.txt >story.txt
mkdir crlf
expect 0 '"story": [0-9]' --text story.txt --json "$model"
grep '"story": [0-9.]*$' out | head -n 1 >story
expect 0 '^cloze, decode +acc' --scoring both --limit 3 "$model"
expect 0 '"decode": ' --scoring both --limit 3 --json "$model"
expect 0 . --text story.txt --scoring decode --json "$model"
cmp story <(grep '"story": [0-9.]*$' out | head -n 1) || fail "decode of a text differs"
sed 's/$/\r/' story.txt >crlf/story.txt
expect 0 . --text crlf/story.txt --json "$model"
cmp story <(grep '"story": [0-9.]*$' out | head -n 1) || fail "CR LF in a text changes its perplexity"
: >empty.txt
expect 1 'empty.txt: is empty' --text empty.txt "$model"
printf x >one.txt
expect 1 'one.txt: has 1 tokens: there is nothing to predict' --text one.txt "$model"

# ---- mistakes: named, status 1 or 2, nothing scored ----
expect 2 'no task "lambada": lambada_openai, ' --tasks lambada "$model"
expect 2 'no task "": ' --tasks "" "$model"
expect 2 'cloze is named twice' --tasks cloze,piqa,cloze "$model"
mkdir none
expect 1 'none/piqa.jsonl: .*No such file.*"goal".*ybisk/piqa' --tasks piqa --data-dir none "$model"
expect 1 'none/ptb.txt: .*No such file' --tasks ptb --data-dir none "$model"
expect 2 'name --tasks A,B or --text' --data-dir data "$model"
sed -i '3s/.*/{"goal": "x", "sol1": "y"/' data/piqa.jsonl
expect 1 'data/piqa.jsonl:3: not valid JSON' --tasks cloze,piqa "$model"
[ -s out ] && fail "something was scored although a later file is broken"
sed -i '3s/.*/{"goal": "x", "sol1": "y", "sol2": "z", "label": 2}/' data/piqa.jsonl
expect 1 'data/piqa.jsonl:3: "label" is 2, but the choices are 0 .. 1' --tasks piqa "$model"
: >data/piqa.jsonl
expect 1 'data/piqa.jsonl: holds no items' --tasks piqa "$model"
head -c 5000 /dev/urandom >data/piqa.jsonl
expect 1 'data/piqa.jsonl:[0-9]*: ' --tasks piqa "$model"
expect 1 . --tasks cloze none-such-model
mkdir other
cp -r "$model"/. other/
sed 's/"<|endoftext|>": 0/"<|endoftext|>": 4096/; s/"id": 0,/"id": 4096,/' "$model/tokenizer.json" >other/tokenizer.json
if cmp -s "$model/tokenizer.json" other/tokenizer.json; then
    echo "SKIPPED: a tokenizer of another vocabulary could not be made"
else
    expect 1 'belongs to another vocabulary: it has 4097 ids, the model 4096' --limit 2 other
fi
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod a-w locked
    expect 1 'locked' --limit 2 --log-dir locked/logs "$model"
fi
touch logs_file
expect 1 'logs_file' --limit 2 --log-dir logs_file "$model"

# ---- the reference ----
if [ -d "$shared/golden" ]; then
    for name in mid demo; do
        expect 0 . --tasks lambada_openai --data-dir "$shared/data" --limit 60 --log-dir "logs_$name" "$shared/models/$name"
        paste -d, <(sed 1d logs_$name/*.jsonl | tr -d '{} ') <(head -n 60 "$shared/golden/$name/lambada_fp32.jsonl" | tr -d '{} ') |
            tr ',' '\n' | awk -F: -v name=$name '
                NF == 2 { k = int((NR - 1) % 10 / 5); value[k, $1] = $2 }
                NR % 10 == 0 {
                    n++
                    d = value[0, "\"loglik\""] - value[1, "\"loglik\""]
                    bad = d > 1e-3 || d < -1e-3
                    for (i = 1; i <= split("doc_id n_ctx n_cont correct", keys, " "); i++)
                        if (value[0, "\"" keys[i] "\""] != value[1, "\"" keys[i] "\""]) bad = 1
                    if (bad) { print name ": item " value[1, "\"doc_id\""] " differs"; failed = 1 }
                }
                END { print name ": " n " items compared with the reference"; exit failed || n != 60 }' ||
            fail "$name: LAMBADA items differ from the reference"
    done
else
    echo "SKIPPED: the comparison with the reference's LAMBADA items needs ../shared"
fi
finish

#!/bin/bash
# Runs one mode, or all, and prints a table: accuracy, perplexity, standard errors, and paired
# differences against mode 0.  Sourcing the file defines quick_run and runs nothing.

quick_run_usage() {
    cat <<'TEXT'
usage: ./QUICK_RUN.sh MODE|all [OPTIONS]

  MODE              an id of `quamba modes list`: fp16, 0, 2-0, 2-1, 2-2, 2-3, 2-4, 3, ...
  all               fp16 where the unquantized weights exist, then 0, 2-0, 2-1, 2-2, 2-3, 2-4, 3

  --full            all items (without it: the first 100)
  --limit N         the first N items
  --model MODEL     a checkpoint or a name under --pretrained_dir; it is quantized if it is not yet
                    (without it: models/demo, on the repository's cloze set)
  --reference DIR   the unquantized weights of a quantized MODEL, for fp16
  --task_list A,B   tasks (lambada_openai; cloze without --model)
  --pretrained_dir DIR   where quantized models are found and stored (build/quick_run)
  --data_dir DIR    where the task files are (data)
  --log_dir DIR     where logs and records go (allmodeComparison/testing, or .../full)
  --threads N
  --fresh           begin again where an unfinished run could be resumed

Variables of the modes are cleared before every run.  A run that was interrupted goes on when the same
command is given again.  Status 1 if any run failed.
TEXT
}

# The runs' results and records as a table; $1: task, $2: directory, $3...: modes in order.
quick_run_table() {
    local task=$1 logs=$2 id
    shift 2
    for id in "$@"; do
        local result=$logs/mode${id//-/}/result.json
        [ -f "$result" ] || { printf 'R\t%s\t-\n' "$id"; continue; }
        awk -v id="$id" -v task="$task" '
            function value(line) { sub(/^[^:]*: */, "", line); sub(/,$/, "", line); gsub(/"/, "", line); return line }
            /^  "[a-z_]*": \{/ { section = $1; next }
            section == "\"lm_eval\":" && $1 == "\"" task "\":" { inside = 1; next }
            inside && /\}/ { inside = 0 }
            inside && /"acc,none"/ { acc = value($0) }
            inside && /"acc_stderr,none"/ { acc_se = value($0) }
            inside && /"perplexity,none"/ { ppl = value($0) }
            inside && /"perplexity_stderr,none"/ { ppl_se = value($0) }
            section == "\"ppl\":" && $1 == "\"" task "\":" { ppl = value($0) }
            section == "\"ppl_stderr\":" && $1 == "\"" task "\":" { ppl_se = value($0) }
            section == "\"n_samples\":" && $1 == "\"" task "\":" { n = value($0) }
            section == "\"per_sample_file\":" && $1 == "\"" task "\":" { file = value($0) }
            END { printf "R\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", id, n, acc, acc_se, ppl, ppl_se, file }
        ' "$result"
    done | awk -F '\t' '
        # p of at least so uneven a split of n items that changed, both ways, if either were as likely
        function sign_test(b, c,    n, k, i, term, sum) {
            n = b + c; k = b < c ? b : c
            if (n == 0) return 1
            term = -n * log(2)
            for (i = 0; i <= k; i++) {
                sum += exp(term); term += log((n - i) / (i + 1))
            }
            return 2 * sum < 1 ? 2 * sum : 1
        }
        function field(line, key) {
            if (!match(line, "\"" key "\":-?[0-9.e+-]+")) return ""
            return substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
        }
        function number(x, form) { return x == "" ? "-" : sprintf(form, x) }
        function with_error(x, e, form) { return x == "" ? "-" : sprintf(form, x) (e == "" ? "" : " +- " sprintf(form, e)) }
        { row[NR] = $0; if ($2 == "0") base = $8 }
        END {
            while (base != "" && (getline line < base) > 0) {
                id = field(line, "doc_id")
                if (id != "") { right[id] = field(line, "correct"); loglik[id] = field(line, "loglik") }
            }
            printf "%-10s %6s  %-18s %-20s %-20s %-9s %s\n", "mode", "n", "accuracy", "perplexity", "log-lik. minus 0", "won/lost", "p"
            for (r = 1; r <= NR; r++) {
                split(row[r], f, "\t")
                if (f[3] == "-" || f[3] == "") { printf "%-10s failed\n", f[2]; continue }
                difference = "-"; changed = "-"; p = "-"
                if (base != "" && f[8] != "" && f[2] != "0") {
                    n = won = lost = sum = squares = with_loglik = 0
                    while ((getline line < f[8]) > 0) {
                        id = field(line, "doc_id")
                        if (id == "" || !(id in right)) continue
                        n++
                        c = field(line, "correct")
                        if (c > right[id]) won++
                        if (c < right[id]) lost++
                        l = field(line, "loglik")
                        if (l != "" && loglik[id] != "") { d = l - loglik[id]; sum += d; squares += d * d; with_loglik++ }
                    }
                    close(f[8])
                    if (with_loglik > 1) {
                        mean = sum / with_loglik; variance = (squares - sum * mean) / (with_loglik - 1)
                        difference = sprintf("%+.4f +- %.4f", mean, sqrt((variance > 0 ? variance : 0) / with_loglik))
                    }
                    if (n > 0) { changed = won + 0 "/" lost + 0; p = sprintf("%.2g", sign_test(won, lost)) }
                }
                printf "%-10s %6s  %-18s %-20s %-20s %-9s %s\n", f[2], f[3], with_error(f[4], f[5], "%.4f"), with_error(f[6], f[7], "%.3f"), difference, changed, p
            }
        }'
}

quick_run() ( # a subshell: what is set here stays here
    set -u
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
    quamba=${QUAMBA:-$root/${BUILD:-build}/quamba}
    mode='' size=(--testing) logs='' model='' reference='' tasks='' stored='' data='' threads=() fresh=''
    fail() { echo "QUICK_RUN.sh: $*" >&2; exit 1; }
    while [ $# -gt 0 ]; do
        option=${1//_/-}
        case $option in
        --full) size=() ;;
        --fresh) fresh=1 ;;
        -h | --help) quick_run_usage; exit 0 ;;
        --limit | --model | --reference | --task-list | --pretrained-dir | --data-dir | --log-dir | --threads)
            [ $# -ge 2 ] || { quick_run_usage; fail "$1 needs a value"; }
            case $option in
            --limit) size=(--limit "$2") ;;
            --model) model=$2 ;;
            --reference) reference=$2 ;;
            --task-list) tasks=$2 ;;
            --pretrained-dir) stored=$2 ;;
            --data-dir) data=$2 ;;
            --log-dir) logs=$2 ;;
            --threads) threads=(--threads "$2") ;;
            esac
            shift ;;
        -*) quick_run_usage; fail "unknown option $1" ;;
        *) [ -z "$mode" ] || { quick_run_usage; fail "two modes: $mode and $1"; }; mode=$1 ;;
        esac
        shift
    done
    [ -x "$quamba" ] || fail "$quamba is not there: run make first"
    ids=$("$quamba" modes list --json | sed -n 's/^ *"id": "\([^"]*\)",*$/\1/p')
    [ -n "$ids" ] || fail "quamba modes list gives nothing"
    [ -n "$mode" ] || { quick_run_usage; fail "no mode is given; modes: all" $ids; }

    # The defaults are the repository's own model and task.
    if [ -z "$model" ]; then
        model=$root/models/demo tasks=${tasks:-cloze} reference=${reference:-$root/models/demo}
        data=${data:-$root/data}
    fi
    tasks=${tasks:-lambada_openai} stored=${stored:-$root/build/quick_run} data=${data:-data}
    [ ${#size[@]} = 0 ] && logs=${logs:-allmodeComparison/full} || logs=${logs:-allmodeComparison/testing}

    # The unquantized weights: MODEL itself, or what its name says it was made from.
    is_float() { [ -e "$1" ] && "$quamba" inspect "$1" 2>/dev/null | grep '^ *model *mamba[12],' >/dev/null; }
    name=${model##*/} plain=''
    for plain in "$reference" "$model" "$stored/$model" "$stored/${name/quamba/mamba}" \
        "$stored/$(sed 's/quamba/mamba/; s/-w[0-9]*a[0-9]*$//' <<<"$name")" ''; do
        [ -n "$plain" ] && is_float "$plain" && break
    done

    modes=()
    for id in $ids; do
        case $mode in
        all)
            case $id in
            fp16) [ -z "$plain" ] || modes+=("$id") ;;
            0 | 2-[0-9] | 3) modes+=("$id") ;;
            esac ;;
        "$id") modes=("$id") ;;
        esac
    done
    if [ ${#modes[@]} = 0 ]; then
        "$quamba" eval --mode "$mode" "$model" # says what is wrong with it
        echo "modes: all" $ids >&2
        exit 1
    fi

    mkdir -p "$logs" || exit 1
    # What is finished of an interrupted run of the same kind is not done again.
    unfinished=$logs/unfinished
    what="$model $tasks ${size[*]} $stored $data ${modes[*]}"
    again=--overwrite
    [ -n "$fresh" ] || { [ -f "$unfinished" ] && [ "$(head -n 1 "$unfinished")" = "$what" ] && again=--resume; }
    [ $again = --resume ] || echo "$what" >"$unfinished" || exit 1
    failed=0
    for id in "${modes[@]}"; do
        if grep -qxF -- "done $id" "$unfinished"; then
            echo "mode $id: finished before"
            continue
        fi
        log=$logs/mode${id//-/} weights=$model quantize=--quantize
        [ "$id" = fp16 ] && weights=$plain quantize=''
        [ "$id" = fp32 ] && weights=$plain quantize=''
        [ -n "$weights" ] || { echo "mode $id: the unquantized weights are not there: --reference DIR" >&2; failed=1; continue; }
        mkdir -p "$log" && rm -f "$log/result.json" || exit 1
        echo "mode $id"
        if env -u QUAMBA_MODE -u FLOAT_SIM_ASIC_INT8 -u SSM_USE_CUDA_FOR_FP32 -u SSM_USE_PYTORCH_INT8 \
            -u CONV1D_MODE23_FP32 -u CONV1D_MODE24_FP32 -u CONV1D_MODE3_FP32 \
            -u CONV1D_MODE4_SELECTIVE_GRID -u FP32_SSM_INPUT -u FLOAT_SIM_ASIC_RESEARCH_SE \
            -u FLOAT_SIM_SCALE_FACTOR -u FLOAT_SIM_ASIC -u FLOAT_SIM_BETTER_SCALE -u YZOWNSCALE_EQUAL \
            "$quamba" main "$weights" --mode "$id" $quantize --eval_zero_shot --task_list "$tasks" \
            --pretrained_dir "$stored" --data_dir "$data" --calibration "${CALIBRATION:-$root/data/calibration.jsonl}" \
            --log_dir "$log" "$again" --json "${size[@]}" "${threads[@]}" \
            >"$log/result.json.tmp" 2>"$log/messages"; then
            mv "$log/result.json.tmp" "$log/result.json" && echo "done $id" >>"$unfinished"
        else
            status=$?
            rm -f "$log/result.json.tmp"
            cat "$log/messages" >&2
            [ $status = 130 ] && exit 130
            echo "mode $id: failed with status $status" >&2
            failed=1
        fi
    done
    # One mode alone is compared with the mode 0 of an earlier run, if that had the same weights.
    hash_of() { grep '"weights_hash"' "$logs/mode${1//-/}/result.json" 2>/dev/null; }
    [ ${#modes[@]} = 1 ] && [ "${modes[0]}" != 0 ] && [ -n "$(hash_of 0)" ] &&
        [ "$(hash_of 0)" = "$(hash_of "${modes[0]}")" ] && modes=(0 "${modes[@]}")
    for task in ${tasks//,/ }; do
        printf '\n%s, %s\n\n' "$model" "$task"
        quick_run_table "$task" "$logs" "${modes[@]}"
    done
    [ $failed = 0 ] && rm -f "$unfinished"
    exit $failed
)

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    quick_run "$@"
    exit
fi

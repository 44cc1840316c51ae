"""What the tables of docs/results share: records of a run, item by item, and paired differences."""
import json, math


def records(run, task):
    """Log-likelihoods and, of questions, which were right."""
    lines = open(run["per_sample_file"][task]).read().splitlines()[1:]
    items = [json.loads(line) for line in lines]
    return [r.get("loglik", r.get("mean_loglik")) for r in items], [r.get("correct") for r in items]


def paired(run, base, task, n=None):
    """Mean and standard error of the differences in log-likelihood, in nats; over the items that
    both have, the first n of them."""
    d = [a - b for a, b in zip(records(run, task)[0][:n], records(base, task)[0])]
    mean = sum(d) / len(d)
    return mean, math.sqrt(sum((x - mean) ** 2 for x in d) / (len(d) - 1) / len(d))


def flips(run, base, task):
    """Items won and lost, and the two-sided p of McNemar's exact test."""
    pairs = list(zip(records(run, task)[1], records(base, task)[1]))
    won, lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    n, k = won + lost, min(won, lost)
    p = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0
    return won, lost, p

// The text of /metrics, read: a page needs a few of its numbers.

/** Samples of every metric by its name without `lipcast_`: [{labels: {}, value}]. */
export function parseMetrics(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const match = /^lipcast_(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const [, name, inside = "", value] = match;
    const labels = {};
    for (const [, key, quoted] of inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = quoted.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    }
    if (!metrics.has(name)) metrics.set(name, []);
    metrics.get(name).push({ labels, value: Number(value) });
  }
  return metrics;
}

/** The sum over all samples that carry these labels; 0 where there is none. */
export function total(metrics, name, wanted = {}) {
  return (metrics.get(name) ?? [])
    .filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

/** A histogram in seconds, by one label: [{key, count, mean, buckets: [{upTo, count}]}], counts not
 *  cumulative, only those that were seen. */
export function histograms(metrics, name, label) {
  const found = new Map();
  for (const { labels, value } of metrics.get(`${name}_bucket`) ?? []) {
    const key = labels[label];
    if (!found.has(key)) found.set(key, []);
    found.get(key).push({ upTo: labels.le === "+Inf" ? Infinity : Number(labels.le), sum: value });
  }
  return [...found].map(([key, steps]) => {
    const count = total(metrics, `${name}_count`, { [label]: key });
    const buckets = steps.map(({ upTo, sum }, i) => ({ upTo, count: sum - (steps[i - 1]?.sum ?? 0) }));
    return { key, count, mean: total(metrics, `${name}_sum`, { [label]: key }) / count, buckets };
  }).filter(({ count }) => count > 0);
}

/** The bucket's edge below which a share of all lies: what a histogram can tell of a quantile. */
export function quantileEdge({ count, buckets }, share) {
  let seen = 0;
  for (const bucket of buckets) {
    seen += bucket.count;
    if (seen >= share * count) return bucket.upTo;
  }
  return Infinity;
}

// The quiet line of figures, and the plots it opens into.

const KEPT = 120; // samples, two a second

const PLOTS = [
  { key: "fps", label: "pictures a second", unit: "", digits: 1 },
  { key: "bufferMs", label: "sound that waits", unit: " ms", digits: 0 },
  { key: "skewMs", label: "picture after sound", unit: " ms", digits: 0 },
];

/** Draws what `read()` gives twice a second: the figures of a <lipcast-avatar>. */
export class Figures {
  constructor({ line, plots, facts, details, read, notes }) {
    Object.assign(this, { line, facts, details, read, notes });
    this.history = [];
    this.before = { shown: 0, at: performance.now() };
    this.plots = PLOTS.map((plot) => ({ ...plot, ...figureIn(plots) }));
    this.timer = setInterval(() => this.step(), 500);
  }

  step() {
    const figures = this.read();
    const at = performance.now();
    const { shown = 0 } = figures;
    const fps = Math.max(0, ((shown - this.before.shown) * 1000) / (at - this.before.at));
    this.before = { shown, at };
    this.history.push({ ...figures, fps });
    if (this.history.length > KEPT) this.history.shift();
    const steady = this.history.slice(-4).reduce((sum, one) => sum + one.fps, 0) /
      Math.min(4, this.history.length);
    this.line.textContent = shown === 0 ? "No picture yet" : [
      `${steady.toFixed(1)} pictures/s`,
      figures.firstPictureMs && `first ${figures.firstPictureMs.toFixed(0)} ms`,
      figures.speakMs && `speech ${figures.speakMs.toFixed(0)} ms`,
      figures.stopMs && `stop ${figures.stopMs.toFixed(0)} ms`,
      `${figures.dropped ?? 0} dropped`,
      this.notes().pictures,
    ].filter(Boolean).join(" · ");
    if (this.details.open) this.draw(figures);
  }

  draw(figures) {
    for (const plot of this.plots) this.drawPlot(plot);
    const ms = (value) => (value === undefined ? "not yet" : `${value.toFixed(0)} ms`);
    const rows = {
      "From opening to the first picture": ms(figures.firstPictureMs),
      "From the sound to its first picture": ms(figures.speakMs),
      "From Stop to closing, to still": `${ms(figures.stopMs)}, ${ms(figures.stillMs)}`,
      "Pictures shown, dropped": `${figures.shown}, ${figures.dropped}`,
      "Sound ran dry": `${figures.dry} times`,
      ...this.notes().rows,
    };
    this.facts.replaceChildren(...Object.entries(rows).flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const data = document.createElement("dd");
      term.textContent = name;
      data.textContent = value;
      return [term, data];
    }));
  }

  drawPlot({ key, label, unit, digits, canvas, caption }) {
    const values = this.history.map((one) => one[key] ?? 0);
    const last = values.at(-1) ?? 0;
    caption.textContent = `${label}: ${last.toFixed(digits)}${unit}`;
    const scale = devicePixelRatio;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const top = Math.max(...values, 1) * 1.1;
    const y = (value) => height - scale - (Math.max(value, 0) / top) * (height - 2 * scale);
    context.strokeStyle = style.getPropertyValue("--line");
    context.lineWidth = scale;
    context.strokeRect(0, height - scale / 2, width, 0);
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 1.5 * scale;
    context.beginPath();
    values.forEach((value, i) => context.lineTo((i / (KEPT - 1)) * width, y(value)));
    context.stroke();
  }
}

function figureIn(parent) {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  figure.className = "plot";
  canvas.setAttribute("aria-hidden", "true"); // the caption says the number
  figure.append(canvas, caption);
  parent.append(figure);
  return { canvas, caption };
}

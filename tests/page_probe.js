// Put into the page by tests/test_page_sync.py: what is on the canvas and what leaves the audio graph.
//
// The marker avatar has a bar code in its corner (tests/markers/avatars.py) and a mouth that is bright
// in the frame whose 40 ms hold a burst of sound. `pageProbe.pictures` has an entry for each change of
// the canvas or <video>, `pageProbe.bursts` one for each burst, both in milliseconds of performance.now():
// when the picture could be seen, when the burst could be heard.

const CELL_PX = 8, COLUMNS = 8, ROWS = 2, BITS = 12; // as in tests/markers/avatars.py
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  loudSince = -1;
  process([[channel]]) {
    channel?.forEach((sample, i) => {
      if (Math.abs(sample) < 0.25) return;
      const at = currentFrame + i;
      if (this.loudSince < 0 || at - this.loudSince > sampleRate / 10) this.port.postMessage(at / sampleRate);
      this.loudSince = at;
    });
    return true;
  }
});`;

function numberIn(data, width) {
  const cells = Array.from({ length: COLUMNS * ROWS }, (_, i) => {
    const x = (i % COLUMNS) * CELL_PX + CELL_PX / 2;
    const y = Math.floor(i / COLUMNS) * CELL_PX + CELL_PX / 2;
    return data[4 * (y * width + x)] > 128 ? 1 : 0;
  });
  const bits = cells.slice(2, 2 + BITS);
  const ones = bits.reduce((sum, bit) => sum + bit, 0) % 4;
  const whole = cells[0] === 1 && cells[1] === 0 && 2 * cells[14] + cells[15] === ones;
  return whole ? parseInt(bits.join(""), 2) : -1;
}

globalThis.pageProbe = {
  pictures: [], // {at, number, mouth 0..255}
  bursts: [], // {at}
  gaps: [], // {from, to}: the browser gave no animation frame for longer than 25 ms

  /** `mouth`: [x, y] on the picture. After the first gesture: there is sound. */
  async start(player, mouth) {
    const module = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
    const audio = player.audioContext();
    await audio.audioWorklet.addModule(module);
    const tap = new AudioWorkletNode(audio, "tap", { numberOfOutputs: 0 });
    tap.port.onmessage = ({ data }) => {
      const { contextTime, performanceTime } = audio.getOutputTimestamp();
      // A <video> takes a graph to be heard at once: its own latency is of the tap, not of the movie.
      const heard = player.video ? audio.currentTime : contextTime;
      this.bursts.push({ at: performanceTime + (data - heard) * 1000 });
    };
    const sound = player.volume ?? audio.createMediaElementSource(player.video);
    if (player.video) sound.connect(audio.destination);
    sound.connect(tap);
    this.tap = tap;
    const width = COLUMNS * CELL_PX, height = ROWS * CELL_PX;
    const copy = new OffscreenCanvas(width, height + 1);
    const context = copy.getContext("2d", { willReadFrequently: true });
    let before = performance.now(), last = "";
    const look = () => {
      requestAnimationFrame(look); // behind the player's own, which drew by now
      const at = performance.now();
      if (at - before > 25) this.gaps.push({ from: before, to: at });
      before = at;
      context.drawImage(player.surface, 0, 0, width, height, 0, 0, width, height);
      context.drawImage(player.surface, ...mouth, 1, 1, 0, height, 1, 1);
      const { data } = context.getImageData(0, 0, width, height + 1);
      const picture = { at, number: numberIn(data, width), mouth: data[4 * width * height] };
      const now = `${picture.number} ${picture.mouth}`;
      if (now !== last) this.pictures.push(picture);
      last = now;
    };
    requestAnimationFrame(look);
  },
};

// Plays a session's sound and keeps its time: the one clock that pictures follow.
//
// In:  {push: Float32Array}   samples that follow those before
//      {reset: position, epoch} forget all; the next sample pushed has this position
//      {hush: true}           what waits becomes silence, after a short fade: nothing shifts
//      {target: samples}      how much waits before it begins, and what it comes back to
// Out: 50 times a second {epoch, position, moving, level, dry, skipped, at}: of which reset, what is heard
//      next at time `at`, whether it plays, how much waits, how often it ran dry, samples left out to catch up.

const FADE = 240;
const QUIET = 0.004; // -48 dBFS: a room, or the noise below a voice

class Sound extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pieces = [];
    this.level = 0;
    this.position = 0;
    this.target = 2400;
    this.waiting = true; // until the target is there
    this.dry = this.skipped = 0;
    this.quiet = 0; // samples since the last that was heard
    this.next = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(data) {
    if (data.push) {
      this.pieces.push(data.push);
      this.level += data.push.length;
    } else if (data.reset !== undefined) {
      this.pieces = [];
      this.level = 0;
      this.position = data.reset;
      this.epoch = data.epoch;
      this.waiting = true;
    } else if (data.target) {
      this.target = data.target;
    } else if (data.hush) {
      let left = FADE;
      for (const piece of this.pieces) {
        for (let i = 0; i < piece.length; ++i) piece[i] *= left > 0 ? left-- / FADE : 0;
      }
    }
  }

  skip(count) {
    this.position += count;
    this.level -= count;
    this.skipped += count;
    while (count > 0) {
      const piece = this.pieces[0];
      if (piece.length > count) {
        this.pieces[0] = piece.subarray(count);
        return;
      }
      count -= piece.length;
      this.pieces.shift();
    }
  }

  process(_, [[out]]) {
    const want = out.length;
    if (this.waiting && this.level >= this.target) this.waiting = false;
    // Behind by much: jump. Behind by a little: use the pauses, where nobody hears it.
    const over = this.level - this.target;
    if (over > sampleRate * 0.3 || (over > sampleRate * 0.06 && this.quiet > sampleRate * 0.1)) {
      this.skip(over);
    }
    if (!this.waiting && this.level < want) {
      this.waiting = true;
      ++this.dry;
    }
    if (!this.waiting) {
      let done = 0;
      while (done < want) {
        const piece = this.pieces[0];
        const count = Math.min(piece.length, want - done);
        out.set(piece.subarray(0, count), done);
        done += count;
        if (count === piece.length) this.pieces.shift();
        else this.pieces[0] = piece.subarray(count);
      }
      this.position += want;
      this.level -= want;
      let silent = true;
      for (const sample of out) silent &&= Math.abs(sample) < QUIET;
      this.quiet = silent ? this.quiet + want : 0;
    }
    this.next -= want;
    if (this.next <= 0) {
      this.next = sampleRate * 0.02;
      this.port.postMessage({
        epoch: this.epoch, position: this.position, moving: !this.waiting, level: this.level, dry: this.dry,
        skipped: this.skipped, at: currentTime + want / sampleRate,
      });
    }
    return true;
  }
}

registerProcessor("sound", Sound);

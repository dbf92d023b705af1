// One session with the server: the WebSocket, its messages, and coming back after a loss.

import { decodeResponse, encodeAudio } from "./wire.js";

/** How a session can fail, for messages.js. */
export const Failure = {
  gone: "gone", // no server, or the network
  token: "token", // it wants one, or another
  full: "full", // no capacity now
  origin: "origin", // it lets no page of this one's origin in
  blocked: "blocked", // it answers, but something in between lets no WebSocket through
  refused: "refused", // an opening it does not take: the reason says why
};

const AHEAD_SECONDS = 8; // of a file, before what is played
const PIECE_SECONDS = 0.1;
const NEEDED_SECONDS = 0.58, NEEDED_FRAMES = 4; // of an utterance before the server begins it

/** What an answer of /v1/access means: failure, reason, whether it may pass. */
const REFUSALS = {
  TOKEN_MISSING: [Failure.token, "", false],
  TOKEN_WRONG: [Failure.token, "wrong", false],
  ORIGIN: [Failure.origin, "", false],
  RATE: [Failure.full, "this address asks too often", true],
};

/**
 * Events (CustomEvent, `detail`): `opened` (Opened), `frame` (Frame), `started`, `finished`,
 * `cleared`, `warning`, `failed` {failure, reason, retrySeconds}.
 * After a failure that may pass it opens again by itself; `close()` ends that.
 */
export class Session extends EventTarget {
  /** `base`: the server's URL, below which v1/ lies. `open()` gives the OpenSession as JSON. */
  constructor({ base, avatar, token, rateHz, video }) {
    super();
    Object.assign(this, { base, avatar, token, rateHz, video });
    this.tries = 0;
    this.utterance = 0;
    this.clears = 0;
    this.connect();
  }

  async connect() {
    this.timer = 0;
    const access = await accessOf(this.base, this.token);
    if (this.closed) return;
    if (!access?.granted) {
      this.fail(...(REFUSALS[access?.reason] ?? [Failure.gone, "", true]));
      return;
    }
    const url = new URL("v1/speak", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    const ticket = await this.ticket();
    if (this.closed || ticket === null) return;
    if (ticket) url.searchParams.set("token", ticket);
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.playing = null;
    socket.onopen = () => socket.send(JSON.stringify({
      open: {
        avatar: this.avatar,
        audio: { rateHz: this.rateHz, channels: 1 },
        video: this.video,
        sound: "SOUND_FORMAT_PCM16",
      },
    }));
    socket.onmessage = ({ data }) => this.take(decodeResponse(data));
    socket.onclose = ({ code, reason }) => {
      if (this.socket !== socket || this.closed) return;
      this.socket = null;
      this.lost(code, reason);
    };
  }

  /** A token for one socket: "" where none is wanted, null where there is none to be had. */
  async ticket() {
    if (!this.token) return "";
    try {
      return await sessionToken(this.base, this.token);
    } catch (error) {
      this.fail(error.gone ? Failure.gone : Failure.full, "", true);
      return null;
    }
  }

  lost(code, reason) {
    if (code === 1008) {
      const full = /^(RESOURCE_EXHAUSTED|UNAVAILABLE)/.test(reason);
      const passes = full || /^(DEADLINE_EXCEEDED|CANCELLED|INTERNAL|DATA_LOSS)/.test(reason);
      this.fail(full ? Failure.full : Failure.refused, reason.replace(/^[A-Z_]+: */, ""), passes);
      return;
    }
    // It let this page in and no socket opened, three times: a browser does not tell why.
    this.fail(this.tries >= 2 ? Failure.blocked : Failure.gone, "", true);
  }

  fail(failure, reason, passes) {
    const retrySeconds = passes ? Math.min(0.5 * 2 ** this.tries++, 10) : 0;
    if (passes) this.timer = setTimeout(() => this.connect(), retrySeconds * 1000);
    this.tell("failed", { failure, reason, retrySeconds });
  }

  take(response) {
    const [name] = Object.keys(response);
    if (!name) return;
    if (name === "opened") this.begun(response.opened);
    if (name === "frame") this.feed(response.frame);
    this.tell(name, response[name]);
  }

  begun({ fps: { num, den = 1 } }) {
    this.tries = 0;
    this.frameSamples = (this.rateHz * den) / num;
    this.neededSamples = this.rateHz * NEEDED_SECONDS + NEEDED_FRAMES * this.frameSamples;
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Begins an utterance that is pushed as it comes. Its id, or 0 where nobody listens. */
  begin() {
    this.playing = null;
    this.pushed = 0;
    this.neededAt = undefined; // when all was sent that the utterance's first picture waits for
    return this.open ? ++this.utterance : 0;
  }

  push(utterance, samples) {
    if (!this.open || utterance !== this.utterance) return;
    this.socket.send(encodeAudio(utterance, samples));
    this.pushed += samples.length;
    if (this.pushed >= this.neededSamples) this.neededAt ??= performance.now();
  }

  end(utterance) {
    if (!this.open || utterance !== this.utterance) return;
    this.socket.send(JSON.stringify({ end: { utterance: String(utterance) } }));
    this.neededAt ??= performance.now();
  }

  /** Speaks Int16 samples of rateHz: some seconds at once, the rest as it is played, so that a
   *  clear never waits behind sound. */
  speak(samples) {
    const utterance = this.begin();
    if (utterance) {
      this.playing = { utterance, samples, at: 0, played: 0 };
      this.feed(null);
    }
    return utterance;
  }

  feed(frame) {
    const job = this.playing;
    if (!job) return;
    if (frame?.utterance === job.utterance) job.played += this.frameSamples;
    const piece = Math.round(this.rateHz * PIECE_SECONDS);
    const limit = job.played + this.rateHz * AHEAD_SECONDS;
    while (job.at < job.samples.length && job.at < limit) {
      this.push(job.utterance, job.samples.subarray(job.at, job.at + piece));
      job.at += piece;
    }
    if (job.at >= job.samples.length) {
      this.end(job.utterance);
      this.playing = null;
    }
  }

  /** Drops what was not shown yet. */
  clear() {
    this.playing = null;
    if (this.open) {
      this.socket.send(JSON.stringify({ clear: { request: String(++this.clears), reason: "stop" } }));
    }
  }

  keyFrame() {
    if (this.open) this.socket.send(JSON.stringify({ keyFrame: {} }));
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
  }
}

/** Whether the server would let this page in with that token: {granted}, and if not {reason} of
 *  docs/protocol.md; null where nobody answers. Asked first, it keeps refusals out of the console. */
export async function accessOf(base, token) {
  const url = new URL("v1/access", base);
  const answer = await fetch(url, { headers: headersOf(token), cache: "no-store" }).catch(() => null);
  return answer?.ok ? answer.json().catch(() => null) : null;
}

/** The token a person gave on a page of this server: kept for the tab, until it is closed. */
export const keptToken = {
  read: () => sessionStorage.getItem("lipcast-token"),
  keep: (token) => sessionStorage.setItem("lipcast-token", token),
};

/** One that is good once and for a minute, where no header can be set. Rejects with the reason. */
export async function sessionToken(base, token) {
  const url = new URL("v1/session-tokens", base);
  const answer = await fetch(url, { method: "POST", headers: headersOf(token) }).catch(() => null);
  if (!answer) throw Object.assign(new Error("the server does not answer"), { gone: true });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return (await answer.json()).token;
}

export function headersOf(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

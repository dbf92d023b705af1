// One session with the server: the WebSocket, its messages, and coming back after a loss.

import { decodeResponse, encodeAudio } from "./wire.js";

/** How a session can fail, for messages.js. */
export const Failure = {
  gone: "gone", // no server, or the network
  token: "token", // it wants one, or another
  full: "full", // no capacity now
  blocked: "blocked", // it answers, but lets no WebSocket of this page in
  refused: "refused", // an opening it does not take: the reason says why
};

const AHEAD_SECONDS = 8; // of a file, before what is played
const PIECE_SECONDS = 0.1;

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
    const answer = await post(new URL("v1/session-tokens", this.base), this.token);
    if (answer.ok) return answer.token;
    const refused = answer.status === 401;
    this.fail(refused ? Failure.token : Failure.gone, refused ? "wrong" : "", !refused);
    return null;
  }

  async lost(code, reason) {
    if (code === 1008) {
      const full = /^(RESOURCE_EXHAUSTED|UNAVAILABLE)/.test(reason);
      const passes = full || /^(DEADLINE_EXCEEDED|CANCELLED|INTERNAL|DATA_LOSS)/.test(reason);
      this.fail(full ? Failure.full : Failure.refused, reason.replace(/^[A-Z_]+: */, ""), passes);
      return;
    }
    // A browser does not tell why a socket did not open: ask the server.
    const status = await statusOf(new URL("v1/info", this.base), this.token);
    if (this.closed) return;
    if (status === 401) this.fail(Failure.token, "", false);
    else if (status === 429) this.fail(Failure.full, "this address asks too often", true);
    else if (status === 200 && this.tries >= 2) this.fail(Failure.blocked, "", true);
    else this.fail(Failure.gone, "", true);
  }

  fail(failure, reason, passes) {
    const retrySeconds = passes ? Math.min(0.5 * 2 ** this.tries++, 10) : 0;
    if (passes) this.timer = setTimeout(() => this.connect(), retrySeconds * 1000);
    this.tell("failed", { failure, reason, retrySeconds });
  }

  take(response) {
    const [name] = Object.keys(response);
    if (!name) return;
    if (name === "opened") this.tries = 0;
    if (name === "frame") this.feed(response.frame);
    this.tell(name, response[name]);
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
    return this.open ? ++this.utterance : 0;
  }

  push(utterance, samples) {
    if (this.open && utterance === this.utterance) this.socket.send(encodeAudio(utterance, samples));
  }

  end(utterance) {
    if (this.open && utterance === this.utterance) {
      this.socket.send(JSON.stringify({ end: { utterance: String(utterance) } }));
    }
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
    if (frame?.utterance === job.utterance) job.played += (frame.sound?.length ?? 0) / 2;
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

/** GET with the token, whatever comes: the code, 0 for none. */
async function statusOf(url, token) {
  try {
    return (await fetch(url, { headers: headersOf(token), cache: "no-store" })).status;
  } catch {
    return 0;
  }
}

async function post(url, token) {
  try {
    const answer = await fetch(url, { method: "POST", headers: headersOf(token) });
    const { token: ticket } = answer.ok ? await answer.json() : {};
    return { ok: answer.ok, status: answer.status, token: ticket };
  } catch {
    return { ok: false, status: 0 };
  }
}

/** The token a person gave on a page of this server: kept for the tab, until it is closed. */
export const keptToken = {
  read: () => sessionStorage.getItem("lipcast-token"),
  keep: (token) => sessionStorage.setItem("lipcast-token", token),
};

/** One that is good once and for a minute, where no header can be set. Rejects with the reason. */
export async function sessionToken(base, token) {
  const answer = await post(new URL("v1/session-tokens", base), token);
  if (!answer.ok) throw new Error(answer.status ? `HTTP ${answer.status}` : "the server does not answer");
  return answer.token;
}

export function headersOf(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// What a person is told when something is not as wished: what happened, and the way on.

import { Failure } from "./session.js";

/** {title, text, wants: "token" | undefined} of a `failed` event. */
export function failureMessage({ failure, reason, retrySeconds }) {
  const again = retrySeconds ? " Trying again by itself." : "";
  switch (failure) {
    case Failure.gone:
      return { title: "The server does not answer", text: `Is lipcast serve running?${again}` };
    case Failure.token:
      return reason === "wrong" ? {
        title: "The server does not take this token",
        text: "Is it whole? Whoever runs the server can give you another.",
        wants: "token",
      } : {
        title: "A token is needed",
        text: "This server asks for one. Whoever runs it can give you yours.",
        wants: "token",
      };
    case Failure.full:
      return {
        title: "The server is full",
        text: `It takes no more live sessions right now${reason ? ` (${reason})` : ""}.${again}`,
      };
    case Failure.origin:
      return {
        title: "The server lets no page of this address in",
        text: `Whoever runs it must name ${location.origin} in listen.origins.`,
      };
    case Failure.blocked:
      return {
        title: "The server lets no session of this page in",
        text: `A proxy in between must pass WebSockets on and keep the host name, or listen.origins must name ${location.origin}.${again}`,
      };
    default:
      return { title: "The server did not take the session", text: `${reason}.${again}` };
  }
}

/** Of a link that speaks: what it will say, and the button that the browser wants for sound. */
export function linkMessage({ text, audio }) {
  const what = text ? `“${text}”` : `The sound ${decodeURIComponent(audio.pathname)}`;
  return { title: "Ready to speak", text: what, wants: "start" };
}

export function soundFileMessage(name) {
  return `“${name}” cannot be played by this browser. WAV, MP3, Ogg, FLAC and M4A usually can; is the file whole?`;
}

export function microphoneMessage(error) {
  if (!globalThis.isSecureContext) {
    return "Browsers give the microphone only to pages on https:// or localhost.";
  }
  if (error.name === "NotAllowedError") {
    return "The browser did not allow the microphone. The icon beside the address changes that.";
  }
  if (error.name === "NotFoundError") return "No microphone was found. A sound file works as well.";
  return "The microphone could not be opened. Does another program use it?";
}

/** What becomes of a sound file that is to be a film: an upload, and how large a one may be. */
export function uploadNote(bytes, limit) {
  const mb = (count) => `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
  if (!limit) return "";
  return bytes > limit
    ? `As a film it is too large: ${mb(bytes)}, and the server takes ${mb(limit)}.`
    : `Save as a film sends it to the server: ${mb(bytes)} of at most ${mb(limit)}.`;
}

export const noSession = "There is no connection to the server right now.";

export const picturesNote = { webcodecs: "H.264 (WebCodecs)", mse: "MP4 (MSE)", jpeg: "JPEG" };

export function soundNote({ audible, pictures }) {
  if (!audible) {
    return pictures === "jpeg" && !globalThis.AudioWorkletNode ? "none here" : "waits for a click or a key";
  }
  return pictures === "mse" ? "AAC in the MP4" : "by AudioWorklet; it is the clock";
}

/** Why the pictures of an avatar come as they do; "" where that is the usual way. */
export function picturesHint({ pictures, useless, wanted }) {
  if (pictures === "webcodecs" && (!wanted || wanted === pictures)) return "";
  const why = useless ? "This browser does not play the live MP4"
    : wanted === pictures ? "As this page's address asks"
      : wanted && !picturesNote[wanted] ? `“${wanted}” is none of webcodecs, mse, jpeg`
        : wanted ? `“${picturesNote[wanted]}” is not to be had here`
          : globalThis.isSecureContext ? "This browser does not decode H.264 by WebCodecs"
            : "Without https:// or localhost browsers offer neither WebCodecs nor AudioWorklet to this page";
  const how = {
    webcodecs: "pictures come as H.264 by WebCodecs",
    mse: "pictures and sound come as one MP4, a moment later",
    jpeg: globalThis.AudioWorkletNode ? "pictures come as JPEG: more data, same picture"
      : "pictures come as JPEG, and there is no sound",
  };
  return `${why}: ${how[pictures]}.`;
}

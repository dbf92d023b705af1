// What an address asks the page for: ?avatar=NAME, ?pictures=KIND, and ?say=TEXT or ?audio=URL. docs/page.md

/** {avatar, wanted, text, audio}: null what is not asked for; {problem} what cannot be done, in words. */
export function linkOf(address) {
  const asked = new URL(address).searchParams;
  const link = {
    avatar: asked.get("avatar") || null,
    wanted: asked.get("pictures") || null,
    text: asked.get("say")?.trim() || null,
    audio: null,
    problem: null,
  };
  const audio = asked.get("audio");
  if (!audio) return link;
  const url = URL.canParse(audio, address) ? new URL(audio, address) : null;
  if (link.text) {
    link.problem = "This link asks for a text and for a sound: it may have say= or audio=, not both.";
    link.text = null;
  } else if (url?.origin !== new URL(address).origin) {
    link.problem = `This link asks for a sound from elsewhere (${audio}). Only one of this server can be played; download that one and drop it here.`;
  } else {
    link.audio = url;
  }
  return link;
}

/** The sound of a link, as a File. Rejects with what a person may read. */
export async function soundOf(url) {
  const answer = await fetch(url).catch(() => null);
  if (!answer) throw new Error("the server does not answer");
  if (!answer.ok) throw new Error(`${url.pathname}: HTTP ${answer.status}`);
  const name = decodeURIComponent(url.pathname.split("/").at(-1)) || "sound";
  return new File([await answer.blob()], name);
}

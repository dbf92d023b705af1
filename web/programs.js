// The same from a program: lines for a shell and a page that do what was just done here.

/** A word as a POSIX shell reads it back. */
function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function attribute(text) {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

/**
 * {render, curl, element}. `base`: the server's URL; `sound`: the name of the file that was spoken, or
 * null; `text`: what was said, or null; `token`: whether the server wants one, which is never shown.
 */
export function programLines({ base, avatar, sound, text, token }) {
  const bearer = token ? '-H "Authorization: Bearer $TOKEN" ' : "";
  const file = shellWord(`./${sound ?? "speech.wav"}`); // with ./ a name is never an option
  const renders = shellWord(`${base}v1/renders?avatar=${encodeURIComponent(avatar)}`);
  const says = `curl -f ${bearer}-H 'Content-Type: application/json' -d ${shellWord(JSON.stringify({ text }))} -o speech.wav ${shellWord(`${base}v1/say`)}\n`;
  const first = text ? says : "";
  return {
    render: `${first}lipcast render --avatar ${shellWord(avatar)} ${file} -o film.mp4`,
    curl: `${first}curl -f ${bearer}--data-binary @${file} ${renders}`,
    element: `<script type="module" src="${attribute(base)}app/avatar_element.js"></script>\n<lipcast-avatar server="${attribute(base)}" avatar="${attribute(avatar)}"></lipcast-avatar>`,
  };
}

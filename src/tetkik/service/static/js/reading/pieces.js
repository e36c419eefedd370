/**
 * The sentences in as much of a language model's answer as has come: JSON that breaks off anywhere.
 *
 * @typedef {{section: string, text: string}} Piece a sentence, the last one perhaps not whole
 */

// A string, with the quotation mark that ends it if it has come, and a colon where it is a key; or a brace.
const PARTS = /"((?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*)("?)(\s*:)?|[{}]/g;

/** A string of JSON, as far as it has come. @param {string} raw */
function plain(raw) {
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return ''; // a character that no string of JSON may hold: the server will refuse the answer
  }
}

/** @param {string} answer as much as has come @returns {Piece[]} */
export function piecesOf(answer) {
  /** @type {Piece[]} */
  const found = [];
  /** @type {Record<string, string>} */
  let item = {};
  let key = '';
  const end = () => {
    if (item.text) found.push({ section: item.section ?? '', text: item.text });
    item = {};
  };
  for (const [part, raw, closed, colon] of answer.matchAll(PARTS)) {
    if (part === '{' || part === '}') {
      end();
    } else if (colon) {
      key = plain(raw);
    } else {
      if (key && (closed || key === 'text')) item[key] = plain(raw);
      key = '';
    }
  }
  end();
  return found;
}

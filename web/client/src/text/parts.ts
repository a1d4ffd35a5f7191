// A tweet's text in parts: plain words, people, hashtags and addresses. Gives no markup.

export type Part = { kind: 'plain' | 'person' | 'hashtag' | 'address'; text: string };

const LINKED =
  /(?<address>https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]}'])|(?<![\p{L}\p{N}_@])(?<person>@[A-Za-z0-9_]{1,15})(?![A-Za-z0-9_])|(?<![\p{L}\p{N}_&])(?<hashtag>#[\p{L}\p{M}\p{N}_]*[\p{L}][\p{L}\p{M}\p{N}_]*)/gu;

/** All of the text, in order; nothing is lost. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(LINKED)) {
    if (match.index > at) parts.push({ kind: 'plain', text: text.slice(at, match.index) });
    const kind = match.groups?.['address'] ? 'address' : match.groups?.['person'] ? 'person' : 'hashtag';
    parts.push({ kind, text: match[0] });
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push({ kind: 'plain', text: text.slice(at) });
  return parts;
}

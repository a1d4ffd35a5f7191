// How long a text is for Perch: code points after NFC, a line break being one. Says nothing of what else a text must be.

// The server's default; a refusal tells where it has another (TextTooLong.limit).
export const TEXT_LIMIT = 140;

export function lengthOf(text: string): number {
  let count = 0;
  for (const _ of text.replaceAll('\r\n', '\n').normalize('NFC')) count += 1;
  return count;
}

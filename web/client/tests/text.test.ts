// Texts are as long here as they are for the server, and links lose none of them.
import { describe, expect, it } from 'vitest';

import { lengthOf } from '../src/text/length';
import { partsOf } from '../src/text/parts';

// tests/browser/test_client_units.py has the server's own rules count these.
const counted: [string, number][] = JSON.parse((import.meta.env['VITE_COUNTED'] as string | undefined) ?? '[]');

describe('a text', () => {
  it('is counted in code points after NFC', () => {
    expect(lengthOf('e\u0301')).toBe(1);
    expect(lengthOf('\u{1f426}\u{1f3fd}')).toBe(2);
    expect(lengthOf('a\r\nb')).toBe(3);
  });

  it('is as long as the server says', () => {
    const wrong = counted.filter(([text, length]) => lengthOf(text) !== length);
    expect(wrong).toEqual([]);
  });

  it('keeps every character when it gets links', () => {
    const texts = [
      '@ann and @bob_1: #tea, see https://a.example/b?c=1). a@b.c &#38; #1',
      ...counted.map(([text]) => text),
    ];
    for (const text of texts)
      expect(
        partsOf(text)
          .map((part) => part.text)
          .join(''),
      ).toBe(text);
    const linked = partsOf(texts[0]!).filter(({ kind }) => kind !== 'plain');
    expect(linked.map(({ text }) => text)).toEqual(['@ann', '@bob_1', '#tea', 'https://a.example/b?c=1']);
  });
});

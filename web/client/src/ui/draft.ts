// What is being written, kept while the tab lives, with the key under which it is sent: sent again after a lost answer,
// a reload or a restart, it is the same tweet.
import { useState } from 'react';

export interface Draft {
  text: string;
  key: string;
}

const PREFIX = 'perch:draft:';

/** The draft of a place ("home", or the tweet that is answered); another text gets another key. */
export function useDraft(place: string): [Draft, (text: string) => void] {
  const [draft, setDraft] = useState(() => stored(place));
  const write = (text: string) => {
    const next = { text, key: newKey() };
    if (text) sessionStorage.setItem(PREFIX + place, JSON.stringify(next));
    else sessionStorage.removeItem(PREFIX + place);
    setDraft(next);
  };
  return [draft, write];
}

function stored(place: string): Draft {
  try {
    const found = JSON.parse(sessionStorage.getItem(PREFIX + place) ?? 'null') as Draft | null;
    return found ?? { text: '', key: newKey() };
  } catch {
    return { text: '', key: newKey() };
  }
}

/** 128 random bits. Not crypto.randomUUID: that is there over TLS only. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

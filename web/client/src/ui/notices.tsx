// Short messages that come up and go by themselves: what went wrong behind a button, or what was done.
import { useEffect, useSyncExternalStore } from 'react';

interface Notice {
  id: number;
  text: string;
}

const SHOWN_MS = 7000;
const MOST = 3;

const listeners = new Set<() => void>();
let notices: readonly Notice[] = [];
let last = 0;

export function tell(text: string): void {
  set([...notices.filter((notice) => notice.text !== text), { id: ++last, text }].slice(-MOST));
}

function set(next: readonly Notice[]): void {
  notices = next;
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Notices() {
  const shown = useSyncExternalStore(subscribe, () => notices);
  return (
    <div className="notices" role="status" aria-live="polite">
      {shown.map((notice) => (
        <Shown key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function Shown({ notice }: { notice: Notice }) {
  useEffect(() => {
    const timer = setTimeout(() => set(notices.filter((one) => one !== notice)), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [notice]);
  return <p className="notice">{notice.text}</p>;
}

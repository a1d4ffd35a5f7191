// The title of the window, by page, with what waits on the home timeline.
import { useEffect } from 'react';

export function useTitle(title: string, waiting = 0): void {
  useEffect(() => {
    document.title = `${waiting ? `(${waiting}) ` : ''}${title} · Perch`;
  }, [title, waiting]);
}

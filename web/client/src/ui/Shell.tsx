// What surrounds every page: the ways to the others, the state of the connection, and short messages.
import { type ReactNode, useEffect, useRef } from 'react';
import { useLocation } from 'wouter';

import { usePerson } from '../session/useSession';
import { Aside } from './Aside';
import { Connection } from './Connection';
import { Navigation } from './Navigation';
import { Notices } from './notices';
import { paths } from './paths';
import { useShortcuts } from './useShortcuts';

export function Shell({ children }: { children: ReactNode }) {
  const main = useRef<HTMLElement>(null);
  useShortcuts();
  useArrival(main);
  useFarewell();
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <div className="shell">
        <Navigation />
        <main id="main" ref={main} tabIndex={-1}>
          <Connection />
          {children}
        </main>
        <Aside />
      </div>
      <Notices />
    </>
  );
}

/** Whoever was signed in and is not any more is led to where one logs in, which says why. */
function useFarewell(): void {
  const signedIn = usePerson() !== null;
  const was = useRef(signedIn);
  const [, navigate] = useLocation();
  useEffect(() => {
    if (was.current && !signedIn) navigate(paths.logIn);
    was.current = signedIn;
  }, [signedIn, navigate]);
}

/** A page that one goes to begins at its top, for eyes and for screen readers; one that one comes back to does not. */
function useArrival(main: React.RefObject<HTMLElement | null>): void {
  const [location] = useLocation();
  const cameBack = useRef(true);
  useEffect(() => {
    const onPop = () => (cameBack.current = true);
    window.addEventListener('popstate', onPop);
    return () => window.removeEventListener('popstate', onPop);
  }, []);
  useEffect(() => {
    if (!cameBack.current) {
      window.scrollTo(0, 0);
      // A field that the page itself has put in focus keeps it.
      if (!main.current?.contains(document.activeElement)) main.current?.focus({ preventScroll: true });
    }
    cameBack.current = false;
  }, [location, main]);
}

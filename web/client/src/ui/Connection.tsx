// A line that says when live tweets do not flow, and says nothing when they do.
import { useEffect, useState } from 'react';

import { currentHome, useHome } from '../live/current';
import type { HomeTimeline } from '../live/home';
import { usePerson } from '../session/useSession';

// Shorter breaks mend themselves before anybody has read of them.
const QUIET_MS = 1200;

export function Connection() {
  const person = usePerson();
  const home = person && currentHome();
  return <div role="status">{home && <Lost key={person.id} home={home} />}</div>;
}

function Lost({ home }: { home: HomeTimeline }) {
  const lost = useHome(home).status === 'lost';
  const [told, setTold] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setTold(lost), lost ? QUIET_MS : 0);
    return () => clearTimeout(timer);
  }, [lost]);
  return told && <p className="lost">No connection to Perch. What you see may be old; trying again.</p>;
}

// The ways to the pages: a rail beside them, or a bar below on small screens.
import type { ReactNode } from 'react';
import { Link, useRoute } from 'wouter';

import { currentHome, useHome } from '../live/current';
import type { HomeTimeline } from '../live/home';
import { waiting } from '../live/timeline';
import { logOut } from '../session/account';
import { usePerson } from '../session/useSession';
import { HomeIcon, LeaveIcon, Logo, PersonIcon, SearchIcon, TopIcon } from './icons';
import { paths } from './paths';

export function Navigation() {
  const person = usePerson();
  const home = person && currentHome();
  return (
    <header className="rail">
      <Link className="brand" href={person ? paths.home : paths.top} aria-label="Perch">
        <Logo />
        <span className="brand-name">Perch</span>
      </Link>
      <nav aria-label="Pages">
        <ul>
          {home && (
            <Way to={paths.home} name="Home" badge={<Waiting home={home} />}>
              <HomeIcon />
            </Way>
          )}
          <Way to={paths.top} name="Top">
            <TopIcon />
          </Way>
          <Way to={paths.search()} name="Search">
            <SearchIcon />
          </Way>
          {person && (
            <Way to={paths.user(person.username)} name="Profile">
              <PersonIcon />
            </Way>
          )}
          {!person && (
            <Way to={paths.logIn} name="Log in">
              <PersonIcon />
            </Way>
          )}
          {person && (
            <li>
              <button type="button" className="way" onClick={() => void logOut()}>
                <LeaveIcon />
                <span>Log out</span>
              </button>
            </li>
          )}
        </ul>
      </nav>
    </header>
  );
}

function Way({ to, name, badge, children }: { to: string; name: string; badge?: ReactNode; children: ReactNode }) {
  const [here] = useRoute(to);
  return (
    <li>
      <Link className="way" href={to} {...(here && { 'aria-current': 'page' as const })}>
        {children}
        <span>{name}</span>
        {badge}
      </Link>
    </li>
  );
}

function Waiting({ home }: { home: HomeTimeline }) {
  const count = waiting(useHome(home).timeline);
  return count ? (
    <span className="badge" aria-label={`${count} new`}>
      {count > 99 ? '99+' : count}
    </span>
  ) : null;
}

// Which page is shown where.
import { Redirect, Route, Router, Switch } from 'wouter';

import { currentHome } from './live/current';
import { LogInPage, SignUpPage } from './pages/EntrancePage';
import { HomePage } from './pages/HomePage';
import { ProfilePage } from './pages/ProfilePage';
import { SearchPage } from './pages/SearchPage';
import { TopPage } from './pages/TopPage';
import { TweetPage } from './pages/TweetPage';
import { usePerson } from './session/useSession';
import { paths } from './ui/paths';
import { Shell } from './ui/Shell';

export function App() {
  return (
    <Router base="/app">
      <Shell>
        <Switch>
          <Route path={paths.home} component={Home} />
          <Route path={paths.top} component={TopPage} />
          <Route path="/search" component={SearchPage} />
          <Route path={paths.logIn} component={LogInPage} />
          <Route path={paths.signUp} component={SignUpPage} />
          <Route path="/user/:username">{({ username }) => <ProfilePage key={username.toLowerCase()} />}</Route>
          <Route path="/tweet/:id">{({ id }) => <TweetPage key={id} />}</Route>
          <Route>
            <p className="empty">There is no such page.</p>
          </Route>
        </Switch>
      </Shell>
    </Router>
  );
}

function Home() {
  const person = usePerson();
  const home = person && currentHome();
  return home ? <HomePage key={person.id} home={home} /> : <Redirect to={paths.logIn} replace />;
}

// Where one logs in or signs up; who is signed in is led home.
import { type FormEvent, useState } from 'react';
import { Link, Redirect } from 'wouter';

import type { RefusalFragment } from '../generated';
import { inWords } from '../net/words';
import { logIn, signUp } from '../session/account';
import { lastFarewell } from '../session/session';
import { usePerson } from '../session/useSession';
import { Field, Refusals } from '../ui/Field';
import { Logo } from '../ui/icons';
import { paths } from '../ui/paths';
import { useTitle } from '../ui/useTitle';

type Send = (given: FormData) => Promise<readonly RefusalFragment[]>;

export function LogInPage() {
  const { refusals, problem, busy, submit } = useEntrance((given) =>
    logIn(text(given, 'name'), text(given, 'password')),
  );
  useTitle('Log in');
  if (usePerson()) return <Redirect to={paths.home} replace />;
  return (
    <section className="entrance">
      <Sign title="Log in" />
      {lastFarewell() === 'ended' && (
        <p className="lost" role="status">
          Your session has ended. Log in again.
        </p>
      )}
      <form className="form" onSubmit={submit}>
        <Field name="name" label="Username or email" autoComplete="username" refusals={refusals} required />
        <Field
          name="password"
          label="Password"
          type="password"
          autoComplete="current-password"
          refusals={refusals}
          required
        />
        <Refusals refusals={refusals} named={['name', 'password']} problem={problem} />
        <button className="button" disabled={busy}>
          Log in
        </button>
      </form>
      <p>
        New here? <Link href={paths.signUp}>Sign up</Link>
      </p>
    </section>
  );
}

export function SignUpPage() {
  const { refusals, problem, busy, submit } = useEntrance((given) =>
    signUp({
      username: text(given, 'username'),
      email: text(given, 'email'),
      password: text(given, 'password'),
      ...(text(given, 'displayName') && { displayName: text(given, 'displayName') }),
    }),
  );
  useTitle('Sign up');
  if (usePerson()) return <Redirect to={paths.home} replace />;
  const all = { refusals };
  return (
    <section className="entrance">
      <Sign title="Sign up" />
      <form className="form" onSubmit={submit}>
        <Field
          {...all}
          name="username"
          label="Username"
          autoComplete="username"
          hint="Up to 15 of A to Z, 0 to 9 and _"
          required
        />
        <Field
          {...all}
          name="displayName"
          label="Name"
          autoComplete="name"
          hint="What people read; the username if you leave it out"
        />
        <Field
          {...all}
          name="email"
          label="Email"
          type="email"
          autoComplete="email"
          hint="Nobody else sees it"
          required
        />
        <Field
          {...all}
          name="password"
          label="Password"
          type="password"
          autoComplete="new-password"
          hint="8 characters or more"
          required
        />
        <Refusals refusals={refusals} named={['username', 'displayName', 'email', 'password']} problem={problem} />
        <button className="button" disabled={busy}>
          Sign up
        </button>
      </form>
      <p>
        Been here before? <Link href={paths.logIn}>Log in</Link>
      </p>
    </section>
  );
}

function Sign({ title }: { title: string }) {
  return (
    <div className="sign">
      <Logo />
      <h1>{title}</h1>
    </div>
  );
}

function useEntrance(send: Send) {
  const [refusals, setRefusals] = useState<readonly RefusalFragment[]>([]);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      setRefusals(await send(new FormData(event.currentTarget)));
    } catch (error) {
      setProblem(inWords(error));
    } finally {
      setBusy(false);
    }
  }
  return { refusals, problem, busy, submit };
}

function text(given: FormData, name: string): string {
  return String(given.get(name) ?? '');
}

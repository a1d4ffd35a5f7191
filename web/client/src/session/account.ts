// Opening and ending a session. What comes back is a list of refusals, empty when it was done.
import { LogInDocument, LogOutDocument, SignUpDocument, type RefusalFragment, type SignUpInput } from '../generated';
import { client } from '../net/client';
import { session, signIn, signOut } from './session';

type Opened = Pick<NonNullable<SignedUp>['signUp'], 'tokens' | 'viewer'> & { errors: RefusalFragment[] };
type SignedUp = import('../generated').SignUpMutation;

export async function logIn(usernameOrEmail: string, password: string): Promise<RefusalFragment[]> {
  const input = { usernameOrEmail, password };
  const { data } = await client.mutate({ mutation: LogInDocument, variables: { input }, context: { tries: 3 } });
  return opened(data!.logIn);
}

/** NOTE: tried once: where the answer was lost, the name is taken at the second time, by oneself. */
export async function signUp(input: SignUpInput): Promise<RefusalFragment[]> {
  const { data } = await client.mutate({ mutation: SignUpDocument, variables: { input }, context: { tries: 1 } });
  return opened(data!.signUp);
}

/** Here at once, and on the server as well as it can. */
export async function logOut(): Promise<void> {
  if (!session()) return;
  await client.mutate({ mutation: LogOutDocument, context: { tries: 2 } }).catch(() => {});
  signOut('left');
}

function opened({ tokens, viewer, errors }: Opened): RefusalFragment[] {
  if (tokens && viewer) {
    const { id, username, displayName } = viewer.user;
    signIn({ id, username, displayName }, tokens);
  }
  return errors;
}

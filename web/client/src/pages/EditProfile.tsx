// The form for one's own name and words.
import { type FormEvent, useState } from 'react';

import { type RefusalFragment, type UserPartsFragment, UpdateProfileDocument } from '../generated';
import { client } from '../net/client';
import { inWords } from '../net/words';
import { rename } from '../session/session';
import { Field, Refusals } from '../ui/Field';

export function EditProfile({ user, onDone }: { user: UserPartsFragment; onDone: () => void }) {
  const [refusals, setRefusals] = useState<readonly RefusalFragment[]>([]);
  const [problem, setProblem] = useState<string | null>(null);

  async function save(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const input = { displayName: String(given.get('displayName')), bio: String(given.get('bio')) };
    try {
      const { data } = await client.mutate({ mutation: UpdateProfileDocument, variables: { input } });
      const { user: changed, errors } = data!.updateProfile;
      setRefusals(errors);
      if (!changed) return;
      rename(changed.displayName);
      onDone();
    } catch (error) {
      setProblem(inWords(error));
    }
  }

  return (
    <form className="form" onSubmit={save} aria-label="Edit profile">
      <Field name="displayName" label="Name" initial={user.displayName} refusals={refusals} required />
      <Field name="bio" label="About you" initial={user.bio} refusals={refusals} />
      <Refusals refusals={refusals} named={['displayName', 'bio']} problem={problem} />
      <button className="button">Save</button>
    </form>
  );
}

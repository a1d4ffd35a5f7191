// A field of a form with what the server says against it, and what it says against the form as a whole.
import { type HTMLInputTypeAttribute, useId } from 'react';

import type { RefusalFragment } from '../generated';

type Refused = readonly Pick<RefusalFragment, 'message' | 'path'>[];

interface Props {
  name: string;
  label: string;
  refusals: Refused;
  type?: HTMLInputTypeAttribute;
  initial?: string;
  hint?: string;
  autoComplete?: string;
  required?: boolean;
}

/** A refusal belongs to the field that ends its path, for instance `input.email`. */
export function Field({ name, label, refusals, type = 'text', initial, hint, autoComplete, required = false }: Props) {
  const id = useId();
  const refusal = refusals.find(({ path }) => path?.at(-1) === name);
  return (
    <p className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        name={name}
        type={type}
        defaultValue={initial}
        autoComplete={autoComplete}
        required={required}
        aria-describedby={`${id}-hint`}
        aria-invalid={Boolean(refusal)}
      />
      <span id={`${id}-hint`} className={refusal ? 'problem' : 'hint'} role={refusal ? 'alert' : undefined}>
        {refusal?.message ?? hint}
      </span>
    </p>
  );
}

/** What no field of these names is to blame for. */
export function Refusals({ refusals, named, problem }: { refusals: Refused; named: string[]; problem: string | null }) {
  const words = refusals.filter(({ path }) => !named.includes(path?.at(-1) ?? '')).map(({ message }) => message);
  if (problem) words.push(problem);
  return words.map((word) => (
    <p key={word} className="problem" role="alert">
      {word}
    </p>
  ));
}

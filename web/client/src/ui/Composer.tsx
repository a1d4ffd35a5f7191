// Where a tweet is written: counts as the server does, sends under one key until there is an answer.
import { type FormEvent, type KeyboardEvent, type Ref, useId, useState } from 'react';

import { PostTweetDocument } from '../generated';
import { client } from '../net/client';
import { MANY_TRIES } from '../net/links';
import { inWords } from '../net/words';
import { lengthOf, TEXT_LIMIT } from '../text/length';
import { useDraft } from './draft';

interface Props {
  /** The tweet that is answered. */
  inReplyTo?: string;
  label: string;
  button: string;
  onPosted: () => void;
  field?: Ref<HTMLTextAreaElement>;
}

// Shown below this many characters left.
const NEAR = 20;

export function Composer({ inReplyTo, label, button, onPosted, field }: Props) {
  const [draft, write] = useDraft(inReplyTo ?? 'home');
  const [limit, setLimit] = useState(TEXT_LIMIT);
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const id = useId();
  const left = limit - lengthOf(draft.text);
  const ready = draft.text.trim() !== '' && left >= 0 && !sending;

  async function send(event?: FormEvent) {
    event?.preventDefault();
    if (!ready) return;
    setSending(true);
    setProblem(null);
    const input = { text: draft.text, idempotencyKey: draft.key, ...(inReplyTo && { inReplyTo }) };
    try {
      // Tried for minutes: under its key it becomes one tweet, however often it arrives.
      const options = { mutation: PostTweetDocument, variables: { input }, context: { tries: MANY_TRIES } };
      const { data } = await client.mutate(options);
      const [refusal] = data!.postTweet.errors;
      if (refusal?.__typename === 'TextTooLong') setLimit(refusal.limit);
      if (refusal) setProblem(refusal.message);
      else {
        write('');
        onPosted();
      }
    } catch (error) {
      setProblem(inWords(error));
    } finally {
      setSending(false);
    }
  }

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void send();
  };

  return (
    <form className="composer" onSubmit={send} aria-label={label}>
      <label htmlFor={id} className="hidden">
        {label}
      </label>
      <textarea
        id={id}
        ref={field}
        name="text"
        rows={inReplyTo ? 2 : 3}
        dir="auto"
        placeholder={label}
        value={draft.text}
        readOnly={sending}
        aria-describedby={`${id}-left`}
        aria-invalid={left < 0}
        onChange={(event) => write(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="composer-row">
        <p className={left < 0 ? 'left left-over' : left <= NEAR ? 'left left-near' : 'left'} id={`${id}-left`}>
          <span aria-hidden="true">{left}</span>
          <span className="hidden">{left < 0 ? `${-left} characters too many` : `${left} characters left`}</span>
        </p>
        <button className="button" disabled={!ready}>
          {sending ? 'Sending' : button}
        </button>
      </div>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}

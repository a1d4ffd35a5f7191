// A tweet's text with its links. Everything is text to React: nothing of it can become markup.
import { Link } from 'wouter';

import { partsOf } from '../text/parts';
import { paths } from './paths';

export function TweetText({ text }: { text: string }) {
  return (
    <p className="tweet-text" dir="auto">
      {partsOf(text).map((part, at) => {
        if (part.kind === 'person') {
          return (
            <Link key={at} href={paths.user(part.text.slice(1))}>
              {part.text}
            </Link>
          );
        }
        if (part.kind === 'hashtag') {
          return (
            <Link key={at} href={paths.search(part.text)}>
              {part.text}
            </Link>
          );
        }
        if (part.kind === 'address') {
          return (
            <a key={at} href={part.text} target="_blank" rel="noopener noreferrer nofollow">
              {part.text.replace(/^https?:\/\//, '')}
            </a>
          );
        }
        return part.text;
      })}
    </p>
  );
}

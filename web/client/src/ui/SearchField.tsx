// The field one searches with.
import { type FormEvent, useState } from 'react';

import { SearchIcon } from './icons';

interface Props {
  initial?: string;
  onSearch: (query: string) => void;
}

export function SearchField({ initial = '', onSearch }: Props) {
  const [query, setQuery] = useState(initial);
  const search = (event: FormEvent) => {
    event.preventDefault();
    if (query.trim()) onSearch(query.trim());
  };
  return (
    <form className="search" role="search" onSubmit={search}>
      <SearchIcon />
      <input
        type="search"
        aria-label="Search tweets and people"
        placeholder="Search"
        maxLength={200}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
    </form>
  );
}

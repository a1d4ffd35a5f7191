// A person's letter on a colour of their own: Perch keeps no pictures.

const TURN = 360;

export function Avatar({ person, large = false }: { person: { id: string; displayName: string }; large?: boolean }) {
  const letter = [...person.displayName.trim()][0]?.toUpperCase() ?? '?';
  return (
    <span
      className={large ? 'avatar avatar-large' : 'avatar'}
      style={{ '--hue': hueOf(person.id) } as React.CSSProperties}
      aria-hidden="true"
    >
      {letter}
    </span>
  );
}

/** The same for the same id, spread over the circle. */
function hueOf(id: string): number {
  let hash = 7;
  for (const char of id) hash = (hash * 31 + char.charCodeAt(0)) % 9973;
  return (hash * 47) % TURN;
}

// One of a few views of the same page.

interface Props<Name extends string> {
  label: string;
  names: Readonly<Record<Name, string>>;
  chosen: Name;
  onChoose: (name: Name) => void;
}

export function Tabs<Name extends string>({ label, names, chosen, onChoose }: Props<Name>) {
  return (
    <div className="tabs" role="group" aria-label={label}>
      {(Object.keys(names) as Name[]).map((name) => (
        <button key={name} type="button" className="tab" aria-pressed={name === chosen} onClick={() => onChoose(name)}>
          {names[name]}
        </button>
      ))}
    </div>
  );
}

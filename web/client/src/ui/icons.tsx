// The drawn signs: strokes in the colour of the text around them, and nothing that is read aloud.
import type { ReactNode } from 'react';

function Icon({ children, filled = false }: { children: ReactNode; filled?: boolean }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 24 24"
      aria-hidden="true"
      focusable="false"
      fill={filled ? 'currentColor' : 'none'}
    >
      {children}
    </svg>
  );
}

export const HomeIcon = () => (
  <Icon>
    <path d="M4 11.5 12 4l8 7.5V20h-5.5v-5.5h-5V20H4z" />
  </Icon>
);

export const TopIcon = () => (
  <Icon>
    <path d="M4 20V13M10 20V8M16 20v-5M22 20V4" transform="translate(-1 0)" />
  </Icon>
);

export const SearchIcon = () => (
  <Icon>
    <circle cx="10.5" cy="10.5" r="6" />
    <path d="m15 15 5.5 5.5" />
  </Icon>
);

export const PersonIcon = () => (
  <Icon>
    <circle cx="12" cy="8" r="4" />
    <path d="M4.5 20.5c1-4 4-6 7.5-6s6.500 2 7.500 6" />
  </Icon>
);

export const ReplyIcon = () => (
  <Icon>
    <path d="M20 11.500c0 3.900-3.600 7-8 7-1.200 0-2.400-.2-3.400-.7L4 19l1.300-3.700A6.500 6.500 0 0 1 4 11.500c0-3.900 3.600-7 8-7s8 3.100 8 7z" />
  </Icon>
);

export const RetweetIcon = () => (
  <Icon>
    <path d="M4 10.500V9a3 3 0 0 1 3-3h11M15 3l3 3-3 3M20 13.500V15a3 3 0 0 1-3 3H6M9 15l-3 3 3 3" />
  </Icon>
);

export const HeartIcon = ({ filled }: { filled: boolean }) => (
  <Icon filled={filled}>
    <path d="M12 19.500 5 12.600a4.400 4.400 0 0 1 0-6.300 4.400 4.400 0 0 1 6.200 0l.8.8.8-.8a4.400 4.400 0 0 1 6.200 0 4.400 4.400 0 0 1 0 6.300z" />
  </Icon>
);

export const BinIcon = () => (
  <Icon>
    <path d="M4.500 6.500h15M9 6.500V4h6v2.500M6.500 6.500 7.500 20h9l1-13.500M10.500 10.500v5.500M13.500 10.500v5.500" />
  </Icon>
);

export const LeaveIcon = () => (
  <Icon>
    <path d="M10 4H5v16h5M9.500 12H20M16 8l4 4-4 4" />
  </Icon>
);

export const UpIcon = () => (
  <Icon>
    <path d="M12 19V5M6 11l6-6 6 6" />
  </Icon>
);

export const Logo = () => (
  <svg className="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <path className="logo-branch" d="M3 22h26" />
    <circle className="logo-bird" cx="12" cy="14" r="5" />
    <circle className="logo-chick" cx="22" cy="16" r="3" />
  </svg>
);
